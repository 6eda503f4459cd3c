;; Takes memory until there is none, and makes do with that.
(func $misdeed (result i32)
    (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (call $fine))
