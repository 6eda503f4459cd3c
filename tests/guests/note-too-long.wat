;; Has a note of two thousand bytes.
;; paths: pure
(func $misdeed (result i32)
    (i32.store (i32.const 2048) (i32.const 0))
    (i32.store (i32.const 2052) (i32.const 4096))
    (i32.store (i32.const 2056) (i32.const 2000))
    (memory.fill (i32.const 4096) (i32.const 97) (i32.const 2000))
    (call $verdicts (i32.const 1024) (i32.const 1) (i32.const 1024) (i32.const 1) (i32.const 2048) (i32.const 1)))
