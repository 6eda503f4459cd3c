;; Answers with the values that it was handed, byte for byte, as if they were its memory.
;; paths: pure
(func $misdeed (result i32) (local $bytes i32)
    (local.set $bytes (i32.shl (i32.load offset=52 (global.get $arguments)) (i32.const 3)))
    (memory.copy (i32.const 2048) (i32.load offset=48 (global.get $arguments)) (local.get $bytes))
    (i32.const 2048))
