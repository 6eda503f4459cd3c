;; Finds a service whose health is of a sort that there is none of.
;; paths: io
(func $misdeed (result i32)
    (call $target (i32.const 2048) (i32.const 128) (i32.const 4))
    (i32.store8 (i32.const 2092) (i32.const 9))
    (call $page (i32.const 2048) (i32.const 1)))
