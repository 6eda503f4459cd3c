;; Fills most of its memory at one stroke, again and again.
(memory (export "memory") 48)
(func $misdeed (result i32)
    (loop $round
        (memory.fill (i32.const 65536) (i32.const 7) (i32.const 3000000))
        (memory.copy (i32.const 65536) (i32.const 65537) (i32.const 3000000))
        (br $round))
    unreachable)
