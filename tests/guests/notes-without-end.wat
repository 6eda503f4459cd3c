;; Says that it has millions of notes, all of which lie in its memory.
;; paths: pure
(memory (export "memory") 128)
(func $misdeed (result i32)
    (call $verdicts (i32.const 1024) (i32.const 1) (i32.const 1024) (i32.const 1) (i32.const 65536) (i32.const 690000)))
