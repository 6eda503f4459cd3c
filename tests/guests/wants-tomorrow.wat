;; Wants an interface of a version that is not there yet.
;; whole
(import "looma:host/log@0.2.0" (instance))
