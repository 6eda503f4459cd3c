;; Wants an interface that is there, with a function of another type.
;; whole
(import "looma:host/log@0.1.0" (instance (export "log" (func (param "everything" string)))))
