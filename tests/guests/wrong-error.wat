;; Answers with a failure of a sort that there is none of.
(func $misdeed (result i32)
    (drop (call $say (i32.const 128) (i32.const 4)))
    (i32.store (i32.const 772) (i32.const 9))
    (i32.const 768))
