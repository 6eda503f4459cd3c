;; Wants a memory of 4 GiB from the start.
;; whole
(core module $m (memory 65536))
(core instance (instantiate $m))
