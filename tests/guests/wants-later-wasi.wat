;; Wants WASI of a version that is not there yet.
;; whole
(import "wasi:cli/environment@0.9.0" (instance (export "get-environment" (func))))
