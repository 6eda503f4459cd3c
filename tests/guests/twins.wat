;; Finds the same service twice.
;; paths: io
(func $misdeed (result i32)
    (call $target (i32.const 2048) (i32.const 128) (i32.const 4))
    (call $target (i32.const 2104) (i32.const 128) (i32.const 4))
    (call $page (i32.const 2048) (i32.const 2)))
