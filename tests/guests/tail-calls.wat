;; Hands over to itself without end, so that no stack grows and no loop turns.
(func $round (result i32) (return_call $round))
(func $misdeed (result i32) (return_call $round))
