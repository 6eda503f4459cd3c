;; Judges no series where there is one.
;; paths: pure
(func $misdeed (result i32) (call $verdicts (i32.const 1024) (i32.const 0) (i32.const 1024) (i32.const 0) (i32.const 0) (i32.const 0)))
