;; Has a note with the character NUL.
;; paths: pure
(data (i32.const 2048) "\00\00\00\00\10\08\00\00\03\00\00\00\00\00\00\00a\00b")
(func $misdeed (result i32) (call $verdicts (i32.const 1024) (i32.const 1) (i32.const 1024) (i32.const 1) (i32.const 2048) (i32.const 1)))
