;; Finds nothing on each of its pages, and that there is one more.
;; paths: io
(global $page_number (mut i32) (i32.const 97))
(func $misdeed (result i32)
    ;; the cursor it was asked with, and one letter more; from sixty on, shorter again and another letter
    (memory.copy (i32.const 2048) (global.get $in) (global.get $in_length))
    (if (i32.gt_u (global.get $in_length) (i32.const 60))
        (then
            (i32.store8 (i32.const 2048) (i32.add (i32.load8_u (i32.const 2048)) (i32.const 1)))
            (if (i32.gt_u (i32.load8_u (i32.const 2048)) (i32.const 122))
                (then (i32.store8 (i32.const 2048) (i32.const 97))))
            (return (call $next (i32.const 2048) (i32.const 2)))))
    (i32.store8 (i32.add (i32.const 2048) (global.get $in_length)) (i32.const 97))
    (call $next (i32.const 2048) (i32.add (global.get $in_length) (i32.const 1))))
