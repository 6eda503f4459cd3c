;; Points between two words for what it found.
;; paths: io
(func $misdeed (result i32) (call $page (i32.const 1025) (i32.const 1)))
