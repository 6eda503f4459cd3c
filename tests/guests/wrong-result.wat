;; Answers with neither success nor failure.
(func $misdeed (result i32) (i32.store (i32.const 768) (i32.const 2)) (i32.const 768))
