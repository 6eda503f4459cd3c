;; Says what it can tell two calls apart by: both clocks and two sorts of randomness, all mixed.
(import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $monotonic (result i64)))
(import "wasi:clocks/wall-clock@0.2.0" "now" (func $wall (param i32)))
(import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
(import "wasi:random/insecure@0.2.0" "get-insecure-random-u64" (func $insecure (result i64)))
(func $misdeed (result i32)
    (call $wall (i32.const 3072))
    (call $number
        (i64.xor
            (i64.xor (call $monotonic) (i64.rotl (call $random) (i64.const 7)))
            (i64.xor
                (i64.rotl (call $insecure) (i64.const 13))
                (i64.xor (i64.load (i32.const 3072)) (i64.load32_u (i32.const 3080)))))))
