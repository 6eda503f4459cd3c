;; Calls itself without end and calls the host at every depth, so that some call comes when the stack is all but used up.
(import "looma:host/log@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
(data (i32.const 2048) "deeper")
(func $deeper (param i32) (result i32)
    (call $log (i32.const 0) (i32.const 2048) (i32.const 6) (i32.const 0) (i32.const 0))
    (i32.add (i32.const 1) (call $deeper (i32.add (local.get 0) (i32.const 1)))))
(func $misdeed (result i32) (call $deeper (i32.const 0)))
