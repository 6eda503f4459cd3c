;; Says that its name has a mebibyte.
(memory (export "memory") 48)
(func (export "looma:plugin/lifecycle@0.1.0#describe") (result i32)
    (memory.fill (i32.const 65536) (i32.const 120) (i32.const 1048576))
    (i32.store (i32.const 0) (i32.const 65536))
    (i32.store (i32.const 4) (i32.const 1048576))
    (i32.const 0))
(func $misdeed (result i32) unreachable)
