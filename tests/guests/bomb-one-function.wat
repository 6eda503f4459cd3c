;; Has one function of some megabytes in which everything depends on everything before.
;; whole
(core module $m (func (param i64) (result i64) (local i64)
    local.get 0
;; repeat 400000
    local.tee 1 i64.const {n} i64.add local.get 1 i64.mul local.get 0 i64.xor local.tee 0
))
(core instance (instantiate $m))
