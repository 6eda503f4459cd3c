;; Takes a megabyte with every call and never gives it back; says how many pages it has.
(func $misdeed (result i32)
    (drop (memory.grow (i32.const 16)))
    (call $number (i64.extend_i32_u (memory.size))))
