;; Points between two words for the scores.
;; paths: pure
(func $misdeed (result i32) (call $verdicts (i32.const 1024) (i32.const 1) (i32.const 1028) (i32.const 1) (i32.const 0) (i32.const 0)))
