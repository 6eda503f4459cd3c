;; Asks for two gigabytes of random bytes.
(import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))
(func $misdeed (result i32) (call $random (i64.const 0x80000000) (i32.const 3072)) (call $fine))
