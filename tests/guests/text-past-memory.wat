;; Answers with words that begin in its memory and end past it.
(func $misdeed (result i32) (call $say (i32.const 65536) (i32.const 0x7fffffff)))
