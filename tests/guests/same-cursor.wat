;; Says after every page that the same one comes next.
;; paths: io
(data (i32.const 2048) "again")
(func $misdeed (result i32) (call $next (i32.const 2048) (i32.const 5)))
