;; Hands the host a line that lies past its memory.
(import "looma:host/log@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
(func $misdeed (result i32)
    (call $log (i32.const 2) (i32.const 0x7fffff00) (i32.const 64) (i32.const 0) (i32.const 0))
    (call $fine))
