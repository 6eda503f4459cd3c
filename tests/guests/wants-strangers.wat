;; Wants an interface of somebody else.
;; whole
(import "evil:host/everything@1.0.0" (instance))
