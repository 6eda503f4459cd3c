;; Finds a series normal, with the smallest number there is below zero, which is its right.
;; paths: pure
(func $misdeed (result i32)
    (f64.store (i32.const 2056) (f64.const -0x0.0000000000001p-1022))
    (call $verdicts (i32.const 1024) (i32.const 1) (i32.const 2056) (i32.const 1) (i32.const 0) (i32.const 0)))
