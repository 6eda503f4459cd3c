;; Runs round in a circle when the host asks it for room for a configuration of 16 bytes.
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (if (i32.and (i32.eq (local.get 2) (i32.const 1)) (i32.eq (local.get 3) (i32.const 16)))
        (then (loop $round (br $round))))
    (call $allocate (local.get 3)))
(func $misdeed (result i32) unreachable)
