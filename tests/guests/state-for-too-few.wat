;; Remembers for none of its series.
;; paths: pure
(data (i32.const 2048) "")
(func $misdeed (result i32)
    (drop (call $fine))
    (i32.store (i32.const 796) (i32.const 1))
    (i32.store (i32.const 800) (i32.const 1))
    (i32.store (i32.const 804) (i32.const 2048))
    (i32.store (i32.const 808) (i32.const 0))
    (i32.store (i32.const 812) (i32.const 1024))
    (i32.store (i32.const 816) (i32.const 0))
    (i32.const 768))
