;; Looks for an environment, arguments and opened folders, and says how many there are of each, in one number.
(import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))
(import "wasi:cli/environment@0.2.0" "get-arguments" (func $arguments_of (param i32)))
(import "wasi:cli/environment@0.2.0" "initial-cwd" (func $folder (param i32)))
(import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $directories (param i32)))
(func $misdeed (result i32)
    (call $environment (i32.const 3072))
    (call $arguments_of (i32.const 3080))
    (call $directories (i32.const 3088))
    (call $folder (i32.const 3096))
    (call $number
        (i64.extend_i32_u
            (i32.or
                (i32.or (i32.load (i32.const 3076)) (i32.shl (i32.load (i32.const 3084)) (i32.const 8)))
                (i32.or
                    (i32.shl (i32.load (i32.const 3092)) (i32.const 16))
                    (i32.shl (i32.load8_u (i32.const 3096)) (i32.const 24)))))))
