;; Wants a bare function.
;; whole
(import "run-as-root" (func))
