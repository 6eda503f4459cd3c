;; Runs round in a circle when it is called.
(func $misdeed (result i32) (loop $round (br $round)) unreachable)
