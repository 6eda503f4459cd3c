;; Finds a service with a hundred fields of metadata.
;; paths: io
(func $misdeed (result i32) (local $at i32)
    (call $target (i32.const 2048) (i32.const 128) (i32.const 4))
    (i32.store (i32.const 2096) (i32.const 16384))
    (i32.store (i32.const 2100) (i32.const 100))
    (memory.fill (i32.const 16384) (i32.const 0) (i32.const 1600))
    (call $page (i32.const 2048) (i32.const 1)))
