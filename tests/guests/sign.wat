;; Has ten kilobytes signed with a secret that it is told.
;; paths: io
(import "looma:host/http@0.1.0" "sign" (func $sign (param i32 i32 i32 i32 i32)))
(func $misdeed (result i32)
    (call $sign (global.get $in) (global.get $in_length) (i32.const 16384) (i32.const 10000) (i32.const 3072))
    (if (i32.load8_u (i32.const 3072))
        (then (return (call $say (i32.load (i32.const 3088)) (i32.load (i32.const 3092))))))
    (call $number (i64.load (i32.load (i32.const 3080)))))
