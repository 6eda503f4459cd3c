;; Wants HTTP in a kind that has none.
;; whole
(import "looma:host/http@0.1.0" (instance))
