;; Finds twenty thousand services on one page, all of them in its memory.
;; paths: io
(memory (export "memory") 20)
(func $misdeed (result i32) (local $at i32)
    (local.set $at (i32.const 65536))
    (loop $more
        (call $target (local.get $at) (i32.const 128) (i32.const 4))
        (local.set $at (i32.add (local.get $at) (i32.const 56)))
        (br_if $more (i32.lt_u (local.get $at) (i32.const 1185536))))
    (call $page (i32.const 65536) (i32.const 20000)))
