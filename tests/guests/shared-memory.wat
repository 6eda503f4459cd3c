;; Wants a memory that threads share, and waits for one.
;; whole
(core module $m
    (memory 1 1 shared)
    (func (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))))
(core instance (instantiate $m))
