;; Runs round in a circle when it is asked who it is.
(func (export "looma:plugin/lifecycle@0.1.0#describe") (result i32) (loop $round (br $round)) unreachable)
(func $misdeed (result i32) unreachable)
