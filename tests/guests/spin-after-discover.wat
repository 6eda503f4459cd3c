;; Answers, and runs round in a circle when the host says that it has read the answer.
;; paths: io
(global $spins (mut i32) (i32.const 0))
(func $misdeed (result i32) (global.set $spins (i32.const 1)) (call $fine))
(func (export "cabi_post_looma:discovery/strategy@0.1.0#discover") (param i32)
    (if (global.get $spins) (then (loop $round (br $round)))))
