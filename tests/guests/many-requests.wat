;; Sends request after request in one call, and says how the last one failed.
;; paths: io
(import "looma:host/http@0.1.0" "send" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
(data (i32.const 2048) "GET")
(func $misdeed (result i32) (local $n i32)
    (loop $more
        (call $send
            (i32.const 2048) (i32.const 3) (global.get $in) (global.get $in_length)
            (i32.const 1024) (i32.const 0) (i32.const 1024) (i32.const 0)
            (i32.const 1024) (i32.const 0) (i32.const 0) (i32.const 3072))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $more (i32.le_u (local.get $n) (i32.const 1000))))
    (call $say (i32.load (i32.const 3088)) (i32.load (i32.const 3092))))
