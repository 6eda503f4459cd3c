;; Hands the host a line with a quarter of a thousand million fields.
(import "looma:host/log@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
(func $misdeed (result i32)
    (call $log (i32.const 2) (i32.const 128) (i32.const 4) (i32.const 1024) (i32.const 0x10000000))
    (call $fine))
