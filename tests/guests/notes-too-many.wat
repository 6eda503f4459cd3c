;; Has two notes for one series.
;; paths: pure
(func $misdeed (result i32) (call $verdicts (i32.const 1024) (i32.const 1) (i32.const 1024) (i32.const 1) (i32.const 1536) (i32.const 2)))
