;; Wants a hundred memories in one module.
;; whole
(core module $m
;; repeat 100
(memory 1)
)
(core instance (instantiate $m))
