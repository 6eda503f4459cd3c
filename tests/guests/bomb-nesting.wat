;; Has blocks two hundred thousand deep, each with a way out of all of them.
;; whole
(core module $m (func (param i32)
;; repeat 200000
    block local.get 0 br_if {n}
;; repeat 200000
    end
))
(core instance (instantiate $m))
