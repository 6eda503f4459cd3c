;; Logs twenty thousand lines in one call, and answers.
(import "looma:host/log@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
(data (i32.const 2048) "flood")
(func $misdeed (result i32) (local $n i32)
    (loop $more
        (call $log (i32.const 2) (i32.const 2048) (i32.const 5) (i32.const 0) (i32.const 0))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $n) (i32.const 20000))))
    (call $fine))
