;; Has a note for a series that it was not asked about.
;; paths: pure
(data (i32.const 2048) "\07\00\00\00\00\01\00\00\05\00\00\00")
(func $misdeed (result i32) (call $verdicts (i32.const 1024) (i32.const 1) (i32.const 1024) (i32.const 1) (i32.const 2048) (i32.const 1)))
