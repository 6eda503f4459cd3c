;; Wants to report figures of its own, which the host has no interface for.
;; whole
(import "looma:host/metrics@0.1.0" (instance))
