;; Tries to connect where it is told: HOST and PORT, with the byte 31 between. Says what came of it.
;; paths: io
(import "looma:host/net@0.1.0" "connect-all" (func $connect (param i32 i32 i32 i32)))
(data (i32.const 2048) "connectedrefusedtimeout")
(func $port (param $at i32) (param $length i32) (result i32) (local $end i32) (local $port i32)
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (loop $digits
        (local.set $port
            (i32.add (i32.mul (local.get $port) (i32.const 10)) (i32.sub (i32.load8_u (local.get $at)) (i32.const 48))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $digits (i32.lt_u (local.get $at) (local.get $end))))
    (local.get $port))
(func $host (param $at i32) (param $length i32)
    (i32.store (i32.const 2304) (local.get $at))
    (i32.store (i32.const 2308) (local.get $length)))
(func $misdeed (result i32) (local $answer i32)
    (call $host (call $field (i32.const 0)))
    (i32.store16 (i32.const 2312) (call $port (call $field (i32.const 1))))
    (call $connect (i32.const 2304) (i32.const 1) (i32.const 100) (i32.const 3072))
    (local.set $answer (i32.load (i32.const 3072)))
    (if (i32.eqz (i32.load8_u (local.get $answer))) (then (return (call $say (i32.const 2048) (i32.const 9)))))
    (if (i32.eq (i32.load8_u offset=4 (local.get $answer)) (i32.const 1)) (then (return (call $say (i32.const 2057) (i32.const 7)))))
    (if (i32.eq (i32.load8_u offset=4 (local.get $answer)) (i32.const 2)) (then (return (call $say (i32.const 2064) (i32.const 7)))))
    (call $say (i32.load offset=8 (local.get $answer)) (i32.load offset=12 (local.get $answer))))
