;; Has fifty thousand functions, each of which takes a while to compile.
;; whole
(core module $m
;; repeat 50000
(func (param i64) (result i64) (i64.mul (i64.add (local.get 0) (i64.const {n})) (i64.rotl (local.get 0) (i64.div_u (i64.const {n}) (i64.or (local.get 0) (i64.const 1))))))
)
(core instance (instantiate $m))
