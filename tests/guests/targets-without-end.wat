;; Says that it has found a quarter of a thousand million services.
;; paths: io
(func $misdeed (result i32) (call $page (i32.const 1024) (i32.const 0x10000000)))
