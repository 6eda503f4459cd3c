;; Wants memory in pages of one byte.
;; whole
(core module $m (memory 1 (pagesize 1)))
(core instance (instantiate $m))
