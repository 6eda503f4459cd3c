;; Asks for the addresses of the name that it is told; the first one is the next cursor.
;; paths: io
(import "looma:host/net@0.1.0" "lookup" (func $lookup (param i32 i32 i32 i32)))
(func $misdeed (result i32)
    (call $lookup (global.get $in) (global.get $in_length) (i32.const 0) (i32.const 3072))
    (if (i32.load8_u (i32.const 3072))
        (then (return (call $say (i32.load (i32.const 3080)) (i32.load (i32.const 3084))))))
    (if (i32.eqz (i32.load (i32.const 3080))) (then (return (call $fine))))
    (call $next (i32.load (i32.load (i32.const 3076))) (i32.load offset=4 (i32.load (i32.const 3076)))))
