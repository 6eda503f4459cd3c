;; Answers with a hundred megabytes of words.
(func $misdeed (result i32)
    (drop (memory.grow (i32.const 1700)))
    (memory.fill (i32.const 65536) (i32.const 97) (i32.const 104857600))
    (call $say (i32.const 65536) (i32.const 104857600)))
