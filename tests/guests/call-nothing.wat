;; Calls a function by a number that stands for none.
(table 2 funcref)
(func $misdeed (result i32) (call_indirect (result i32) (i32.const 1)))
