;; Runs round in a circle and asks for a key each time.
;; paths: io
(import "looma:host/kv@0.1.0" "get" (func $get (param i32 i32 i32)))
(data (i32.const 2048) "key")
(func $misdeed (result i32)
    (loop $round
        (call $get (i32.const 2048) (i32.const 3) (i32.const 3072))
        (global.set $free (i32.const 16384))
        (br $round))
    unreachable)
