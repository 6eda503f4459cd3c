;; Opens its standard error again and again and closes it never.
(import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
(func $misdeed (result i32) (loop $more (drop (call $stderr)) (br $more)) unreachable)
