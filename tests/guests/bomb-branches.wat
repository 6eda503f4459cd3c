;; Has tables of branches with sixty thousand ways out each.
;; whole
(core module $m
(func (param i32)
    block block block local.get 0 br_table
;; repeat 20000
    1 0 2
    0 end end end)
(func (param i32)
    block block block local.get 0 br_table
;; repeat 20000
    1 0 2
    0 end end end)
(func (param i32)
    block block block local.get 0 br_table
;; repeat 20000
    1 0 2
    0 end end end)
(func (param i32)
    block block block local.get 0 br_table
;; repeat 20000
    1 0 2
    0 end end end)
(func (param i32)
    block block block local.get 0 br_table
;; repeat 20000
    1 0 2
    0 end end end)
(func (param i32)
    block block block local.get 0 br_table
;; repeat 20000
    1 0 2
    0 end end end)
(func (param i32)
    block block block local.get 0 br_table
;; repeat 20000
    1 0 2
    0 end end end)
(func (param i32)
    block block block local.get 0 br_table
;; repeat 20000
    1 0 2
    0 end end end)
)
(core instance (instantiate $m))
