;; Wants a table of ten million entries from the start.
;; whole
(core module $m (table 10000000 funcref))
(core instance (instantiate $m))
