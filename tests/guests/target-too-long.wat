;; Finds a service whose name has a megabyte.
;; paths: io
(memory (export "memory") 48)
(func $misdeed (result i32)
    (memory.fill (i32.const 65536) (i32.const 97) (i32.const 1000000))
    (call $target (i32.const 2048) (i32.const 65536) (i32.const 1000000))
    (i32.store (i32.const 2052) (i32.const 1))
    (call $page (i32.const 2048) (i32.const 1)))
