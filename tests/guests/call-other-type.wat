;; Calls a function by a number as if it were of another type.
(table 2 funcref)
(elem (i32.const 0) $other)
(func $other (param i64) (result i64) (local.get 0))
(func $misdeed (result i32) (call_indirect (result i32) (i32.const 0)))
