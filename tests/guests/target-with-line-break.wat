;; Finds a service whose name is two lines, the second like one of the log.
;; paths: io
(data (i32.const 2400) "a\n{}")
(func $misdeed (result i32)
    (call $target (i32.const 2048) (i32.const 2400) (i32.const 4))
    (call $page (i32.const 2048) (i32.const 1)))
