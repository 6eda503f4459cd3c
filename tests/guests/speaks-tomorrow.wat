;; Exports an interface of a version that is not there yet, besides the one that is.
;; whole
(instance $none)
(export "looma:alerting/evaluator@0.2.0" (instance $none))
