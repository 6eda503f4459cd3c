;; Sets a key to three megabytes.
;; paths: io
(memory (export "memory") 64)
(import "looma:host/kv@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))
(data (i32.const 2048) "key")
(func $misdeed (result i32)
    (call $set (i32.const 2048) (i32.const 3) (i32.const 65536) (i32.const 3145728) (i32.const 0) (i64.const 0) (i32.const 3072))
    (call $number (i64.add (i64.load8_u (i32.const 3072)) (i64.shl (i64.load8_u (i32.const 3080)) (i64.const 4)))))
