;; Wants HTTP by another interface than the host's.
;; whole
(import "wasi:http/outgoing-handler@0.2.0" (instance))
