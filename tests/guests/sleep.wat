;; Sleeps for a day.
(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $alarm (param i64) (result i32)))
(import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
(func $misdeed (result i32) (call $block (call $alarm (i64.const 86400000000000))) (call $fine))
