;; Runs round in a circle and logs each time.
(import "looma:host/log@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
(data (i32.const 2048) "round")
(func $misdeed (result i32)
    (loop $round
        (call $log (i32.const 2) (i32.const 2048) (i32.const 5) (i32.const 0) (i32.const 0))
        (br $round))
    unreachable)
