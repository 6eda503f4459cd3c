;; Answers with words that are no UTF-8: half a surrogate.
(data (i32.const 2048) "\ed\a0\80")
(func $misdeed (result i32) (call $say (i32.const 2048) (i32.const 3)))
