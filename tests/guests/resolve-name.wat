;; Asks WASI for the address of a name; says how that failed, by the number of the error and one.
(import "wasi:sockets/instance-network@0.2.0" "instance-network" (func $network (result i32)))
(import "wasi:sockets/ip-name-lookup@0.2.0" "resolve-addresses" (func $lookup (param i32 i32 i32 i32)))
(data (i32.const 2048) "localhost")
(func $misdeed (result i32)
    (call $lookup (call $network) (i32.const 2048) (i32.const 9) (i32.const 3072))
    (if (i32.load8_u (i32.const 3072))
        (then (return (call $number (i64.add (i64.const 1) (i64.load8_u (i32.const 3076)))))))
    (call $number (i64.const 0)))
