;; Cannot tell, with no number for a score, which is its right.
;; paths: pure
(data (i32.const 2048) "\ff")
(func $misdeed (result i32)
    (f64.store (i32.const 2056) (f64.const nan))
    (call $verdicts (i32.const 2048) (i32.const 1) (i32.const 2056) (i32.const 1) (i32.const 0) (i32.const 0)))
