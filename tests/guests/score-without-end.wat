;; Finds a series normal, with an infinite score.
;; paths: pure
(func $misdeed (result i32)
    (f64.store (i32.const 2048) (f64.const -inf))
    (call $verdicts (i32.const 1024) (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 0) (i32.const 0)))
