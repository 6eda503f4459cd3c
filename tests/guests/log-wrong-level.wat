;; Logs at a level that there is none of.
(import "looma:host/log@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
(func $misdeed (result i32)
    (call $log (i32.const 99) (i32.const 128) (i32.const 4) (i32.const 0) (i32.const 0))
    (call $fine))
