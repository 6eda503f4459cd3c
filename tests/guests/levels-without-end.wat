;; Says that it has found a quarter of a thousand million levels.
;; paths: pure
(func $misdeed (result i32) (call $verdicts (i32.const 1024) (i32.const 0x10000000) (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 0)))
