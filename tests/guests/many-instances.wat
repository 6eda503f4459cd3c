;; Is made of a thousand instances.
;; whole
(core module $m (memory 1))
;; repeat 1000
(core instance (instantiate $m))
