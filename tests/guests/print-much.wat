;; Prints a megabyte, and at its end why it crashes.
(import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
(import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
(data (i32.const 2048) "the end")
(func $misdeed (result i32) (local $stream i32) (local $n i32)
    (local.set $stream (call $stderr))
    (memory.fill (i32.const 16384) (i32.const 120) (i32.const 4096))
    (loop $more
        (call $write (local.get $stream) (i32.const 16384) (i32.const 4096) (i32.const 3072))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $n) (i32.const 256))))
    (call $write (local.get $stream) (i32.const 2048) (i32.const 7) (i32.const 3072))
    unreachable)
