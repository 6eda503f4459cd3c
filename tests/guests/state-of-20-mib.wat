;; Remembers twenty megabytes.
;; paths: pure
(data (i32.const 2048) "\00\00\00\00\00\00\40\01")
(func $misdeed (result i32)
    (drop (memory.grow (i32.const 340)))
    (drop (call $fine))
    (i32.store (i32.const 796) (i32.const 1))
    (i32.store (i32.const 800) (i32.const 1))
    (i32.store (i32.const 804) (i32.const 2048))
    (i32.store (i32.const 808) (i32.const 2))
    (i32.store (i32.const 812) (i32.const 65536))
    (i32.store (i32.const 816) (i32.const 0x1400000))
    (i32.const 768))
