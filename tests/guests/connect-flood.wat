;; Wants to connect to a million places at once, and says what came of the last.
;; paths: io
(import "looma:host/net@0.1.0" "connect-all" (func $connect (param i32 i32 i32 i32)))
(memory (export "memory") 200)
(func $misdeed (result i32) (local $at i32) (local $answer i32)
    (local.set $at (i32.const 65536))
    (loop $more
        (i32.store (local.get $at) (global.get $in))
        (i32.store offset=4 (local.get $at) (global.get $in_length))
        (i32.store16 offset=8 (local.get $at) (i32.const 9))
        (local.set $at (i32.add (local.get $at) (i32.const 12)))
        (br_if $more (i32.lt_u (local.get $at) (i32.const 12065536))))
    (call $connect (i32.const 65536) (i32.const 1000000) (i32.const 10) (i32.const 3072))
    (local.set $answer (i32.add (i32.load (i32.const 3072)) (i32.const 15999984)))
    (call $say (i32.load offset=8 (local.get $answer)) (i32.load offset=12 (local.get $answer))))
