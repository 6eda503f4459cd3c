;; Wants an interface of the host without saying which version.
;; whole
(import "looma:host/log" (instance))
