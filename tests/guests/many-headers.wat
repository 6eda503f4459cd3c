;; Sends ten thousand headers.
;; paths: io
(import "looma:host/http@0.1.0" "send" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
(memory (export "memory") 8)
(data (i32.const 2048) "GETx-many")
(func $misdeed (result i32) (local $at i32)
    (local.set $at (i32.const 65536))
    (loop $more
        (i32.store (local.get $at) (i32.const 2051))
        (i32.store offset=4 (local.get $at) (i32.const 6))
        (i32.store offset=8 (local.get $at) (i32.const 2048))
        (i32.store offset=12 (local.get $at) (i32.const 3))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br_if $more (i32.lt_u (local.get $at) (i32.const 225536))))
    (call $send
        (i32.const 2048) (i32.const 3) (global.get $in) (global.get $in_length)
        (i32.const 65536) (i32.const 10000) (i32.const 0) (i32.const 0)
        (i32.const 1024) (i32.const 0) (i32.const 0) (i32.const 3072))
    (if (i32.load8_u (i32.const 3072))
        (then (return (call $say (i32.load (i32.const 3088)) (i32.load (i32.const 3092))))))
    (call $fine))
