;; Says that its name is no text at all.
(func (export "looma:plugin/lifecycle@0.1.0#describe") (result i32)
    (i32.store8 (i32.const 128) (i32.const 255))
    (i32.const 0))
(func $misdeed (result i32) unreachable)
