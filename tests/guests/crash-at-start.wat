;; Crashes as soon as it is there.
(func $crash unreachable)
(start $crash)
(func $misdeed (result i32) unreachable)
