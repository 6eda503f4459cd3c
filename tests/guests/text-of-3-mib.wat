;; Answers with three megabytes of words, which are within its memory.
(memory (export "memory") 64)
(func $misdeed (result i32)
    (memory.fill (i32.const 65536) (i32.const 97) (i32.const 3145728))
    (call $say (i32.const 65536) (i32.const 3145728)))
