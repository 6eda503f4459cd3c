;; Answers with a level that there is none of.
;; paths: pure
(data (i32.const 2048) "\04")
(func $misdeed (result i32) (call $verdicts (i32.const 2048) (i32.const 1) (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 0)))
