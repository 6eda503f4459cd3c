;; Finds a series normal, with no number for a score.
;; paths: pure
(func $misdeed (result i32)
    (f64.store (i32.const 2048) (f64.const nan:0x4000000000001))
    (call $verdicts (i32.const 1024) (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 0) (i32.const 0)))
