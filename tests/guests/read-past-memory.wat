;; Reads where it has no memory.
(func $misdeed (result i32) (i32.load (i32.const 0x7ffffff0)))
