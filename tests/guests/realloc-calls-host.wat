;; Calls the host while the host is putting a configuration of 16 bytes into its memory.
(import "looma:host/log@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (if (i32.and (i32.eq (local.get 2) (i32.const 1)) (i32.eq (local.get 3) (i32.const 16)))
        (then (call $log (i32.const 2) (i32.const 256) (i32.const 5) (i32.const 0) (i32.const 0))))
    (call $allocate (local.get 3)))
(func $misdeed (result i32) (call $fine))
