;; Finds ten thousand faults in any configuration but the empty one.
(func (export "looma:plugin/lifecycle@0.1.0#check") (param i32 i32) (result i32)
    (if (i32.le_u (local.get 1) (i32.const 2)) (then (return (i32.const 1024))))
    (drop (memory.grow (i32.const 3)))
    (i32.store (i32.const 2048) (i32.const 131072))
    (i32.store (i32.const 2052) (i32.const 10000))
    (i32.const 2048))
(func $misdeed (result i32) unreachable)
