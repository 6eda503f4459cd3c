;; Runs round in a circle when it is asked about any configuration but the empty one.
(func (export "looma:plugin/lifecycle@0.1.0#check") (param i32 i32) (result i32)
    (if (i32.gt_u (local.get 1) (i32.const 2)) (then (loop $round (br $round))))
    (i32.const 1024))
(func $misdeed (result i32) unreachable)
