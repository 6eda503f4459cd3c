;; Finds ten services the first time, and none from then on.
;; paths: io
(import "looma:host/kv@0.1.0" "get" (func $get (param i32 i32 i32)))
(import "looma:host/kv@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))
(data (i32.const 2048) "seen")
(data (i32.const 2064) "0123456789")
(data (i32.const 2080) "http://h:80")
(func $misdeed (result i32) (local $n i32)
    (call $get (i32.const 2048) (i32.const 4) (i32.const 3072))
    (if (i32.load8_u (i32.const 3080)) (then (return (call $fine))))
    (call $set (i32.const 2048) (i32.const 4) (i32.const 2048) (i32.const 1) (i32.const 0) (i64.const 0) (i32.const 3200))
    (loop $more
        (call $target
            (i32.add (i32.const 4096) (i32.mul (local.get $n) (i32.const 56)))
            (i32.add (i32.const 2064) (local.get $n)) (i32.const 1))
        (i32.store offset=4120 (i32.mul (local.get $n) (i32.const 56)) (i32.const 2080))
        (i32.store offset=4124 (i32.mul (local.get $n) (i32.const 56)) (i32.const 11))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $n) (i32.const 10))))
    (call $page (i32.const 4096) (i32.const 10)))
