;; Has one function of more than ten megabytes.
;; whole
(core module $m (func (param i64) (result i64)
    local.get 0
;; repeat 1000000
    i64.const 1000000000000 i64.add i64.clz
))
(core instance (instantiate $m))
