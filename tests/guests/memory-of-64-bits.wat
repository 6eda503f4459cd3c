;; Wants a memory with addresses of 64 bits.
;; whole
(core module $m (memory i64 1))
(core instance (instantiate $m))
