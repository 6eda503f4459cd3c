;; Says that the form of its configuration is something that is no JSON.
(func (export "looma:plugin/lifecycle@0.1.0#describe") (result i32)
    (i32.store8 (i32.const 273) (i32.const 123))
    (i32.const 0))
(func $misdeed (result i32) unreachable)
