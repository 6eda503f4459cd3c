;; Counts its calls in its own memory, which is not what the contract offers for remembering.
(global $calls (mut i64) (i64.const 0))
(func $misdeed (result i32)
    (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
    (call $number (global.get $calls)))
