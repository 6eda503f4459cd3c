;; Finds a service with a value of ten thousand bytes among its metadata.
;; paths: io
(func $misdeed (result i32)
    (memory.fill (i32.const 16384) (i32.const 97) (i32.const 10000))
    (call $target (i32.const 2048) (i32.const 128) (i32.const 4))
    (i32.store (i32.const 2096) (i32.const 2400))
    (i32.store (i32.const 2100) (i32.const 1))
    (i32.store (i32.const 2400) (i32.const 128))
    (i32.store (i32.const 2404) (i32.const 4))
    (i32.store (i32.const 2408) (i32.const 16384))
    (i32.store (i32.const 2412) (i32.const 10000))
    (call $page (i32.const 2048) (i32.const 1)))
