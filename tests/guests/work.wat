;; Computes for a good part of a second before it answers, which is its right.
(func $misdeed (result i32) (local $n i64)
    (loop $more
        (local.set $n (i64.add (local.get $n) (i64.const 1)))
        (br_if $more (i64.lt_u (local.get $n) (i64.const 400000000))))
    (call $fine))
