;; Crashes.
(func $misdeed (result i32) unreachable)
