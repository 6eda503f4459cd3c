;; Prints why and crashes, as a language's runtime does.
(import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
(import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
(data (i32.const 2048) "panicked at plugin.rs:7: index out of bounds\1b[31m\00\n")
(func $misdeed (result i32)
    (call $write (call $stderr) (i32.const 2048) (i32.const 51) (i32.const 3072))
    unreachable)
