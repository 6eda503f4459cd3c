;; Finds a service whose name is empty.
;; paths: io
(func $misdeed (result i32)
    (call $target (i32.const 2048) (i32.const 128) (i32.const 4))
    (i32.store (i32.const 2060) (i32.const 0))
    (call $page (i32.const 2048) (i32.const 1)))
