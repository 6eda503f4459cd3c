;; Sets key after key, four bytes each and nothing in it, until the host says no; says how many it set and what was said.
;; paths: io
(import "looma:host/kv@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))
(global $made (mut i32) (i32.const 0x20202020))
(func $misdeed (result i32) (local $set i32)
    (global.set $made (i32.add (global.get $made) (i32.shl (global.get $in_length) (i32.const 16))))
    (loop $more
        (global.set $made (i32.add (global.get $made) (i32.const 1)))
        (if (i32.eq (i32.and (global.get $made) (i32.const 0x7f)) (i32.const 0x7f))
            (then (global.set $made (i32.add (global.get $made) (i32.const 0xa1)))))
        (i32.store (i32.const 2048) (global.get $made))
        (call $set (i32.const 2048) (i32.const 4) (i32.const 2048) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 3072))
        (if (i32.load8_u (i32.const 3072))
            (then (return (call $say (i32.load (i32.const 3088)) (i32.load (i32.const 3092))))))
        (br $more))
    unreachable)
