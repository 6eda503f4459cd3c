;; Answers with words full of control characters.
(data (i32.const 2048) "red \1b[31m, end \00, bell \07, and\r\nmore")
(func $misdeed (result i32) (call $say (i32.const 2048) (i32.const 36)))
