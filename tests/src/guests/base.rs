//! What stands around a misdeed: memory, the lifecycle, an honest answer, and words to answer in.
//!
//! Memory: the descriptor from 0, its strings from 128, the answer from 768, zeroes from 1024, the guest's own from 2048, and what the
//! host hands in from 8192 on.

use super::CallPath;

/// Exports without anything in them, for a component that is not to come as far as being asked.
pub const BARE_EXPORTS: &str = r#"
    (instance $bare)
    (export "looma:plugin/lifecycle@0.1.0" (instance $bare))
    (export "looma:alerting/evaluator@0.1.0" (instance $bare))"#;

/// Fields of the module, each with the text that replaces it where the guest has its own.
pub fn parts(path: CallPath) -> Vec<(&'static str, &'static str)> {
    let (evaluator, strategy) = (&EVALUATOR, &STRATEGY);
    let own: &[(&str, &str)] = match path {
        CallPath::Pure => evaluator,
        CallPath::Io => strategy,
    };
    COMMON.iter().chain(own).copied().collect()
}

/// Data segments that say who the plugin is: four strings, address and length each, and what they hold.
pub fn descriptor(name: &str) -> String {
    let strings = [(128, name.len()), (256, 5), (264, 2), (272, 2)];
    let numbers = strings.iter().flat_map(|(at, length)| [*at, u32::try_from(*length).expect("a name is short")]);
    let bytes: String = numbers.flat_map(u32::to_le_bytes).map(|byte| format!("\\{byte:02x}")).collect();
    format!(
        r#"(data (i32.const 0) "{bytes}") (data (i32.const 128) "{name}") (data (i32.const 256) "1.0.0   hi      {{}}")"#
    )
}

const COMMON: [(&str, &str); 7] = [
    ("(export \"memory\")", r#"(memory (export "memory") 2)"#),
    (
        "(export \"cabi_realloc\")",
        r#"
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (call $allocate (local.get 3)))"#,
    ),
    (
        "(export \"looma:plugin/lifecycle@0.1.0#describe\")",
        r#"
(func (export "looma:plugin/lifecycle@0.1.0#describe") (result i32) (i32.const 0))"#,
    ),
    (
        "(export \"looma:plugin/lifecycle@0.1.0#check\")",
        r#"
(func (export "looma:plugin/lifecycle@0.1.0#check") (param i32 i32) (result i32) (i32.const 1024))"#,
    ),
    (
        "(func $allocate ",
        r#"
(global $free (mut i32) (i32.const 8192))
(func $allocate (param $size i32) (result i32) (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (if (i32.gt_u (global.get $free) (i32.mul (memory.size) (i32.const 65536)))
        (then (drop (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1))))))
    (local.get $at))"#,
    ),
    // An answer that says why not: `permanent` of a text, or of a number as sixteen hexadecimal digits.
    (
        "(func $say ",
        r#"
(func $say (param $text i32) (param $length i32) (result i32)
    (i32.store (i32.const 768) (i32.const 1))
    (i32.store (i32.const 772) (i32.const 3))
    (i32.store (i32.const 776) (local.get $text))
    (i32.store (i32.const 780) (local.get $length))
    (i32.const 768))
(func $number (param $number i64) (result i32) (local $digit i32) (local $at i32)
    (local.set $at (i32.const 16))
    (loop $digits
        (local.set $at (i32.sub (local.get $at) (i32.const 1)))
        (local.set $digit (i32.wrap_i64 (i64.and (local.get $number) (i64.const 15))))
        (i32.store8 offset=800 (local.get $at)
            (i32.add (local.get $digit)
                (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $digit) (i32.const 10)))))
        (local.set $number (i64.shr_u (local.get $number) (i64.const 4)))
        (br_if $digits (local.get $at)))
    (call $say (i32.const 800) (i32.const 16)))"#,
    ),
    // The n-th of the fields that the host's text has, with the byte 31 between them: its address and length, or nothing at 0.
    (
        "(func $field ",
        r#"
(global $in (mut i32) (i32.const 0))
(global $in_length (mut i32) (i32.const 0))
(func $field (param $n i32) (result i32 i32) (local $at i32) (local $end i32) (local $start i32)
    (local.set $at (global.get $in))
    (local.set $start (local.get $at))
    (local.set $end (i32.add (local.get $at) (global.get $in_length)))
    (block $found
        (loop $next
            (br_if $found (i32.ge_u (local.get $at) (local.get $end)))
            (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 31))
                (then
                    (br_if $found (i32.eqz (local.get $n)))
                    (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                    (local.set $start (i32.add (local.get $at) (i32.const 1)))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $next)))
    (if (local.get $n) (then (return (i32.const 0) (i32.const 0))))
    (local.get $start)
    (i32.sub (local.get $at) (local.get $start)))"#,
    ),
];

/// An honest evaluator finds every series normal, with its first value for a score. The host's text is the configuration.
const EVALUATOR: [(&str, &str); 4] = [
    (
        "(export \"looma:alerting/evaluator@0.1.0#plan\")",
        r#"
(func (export "looma:alerting/evaluator@0.1.0#plan") (param i32 i32) (result i32) (i32.const 1024))"#,
    ),
    (
        "(export \"looma:alerting/evaluator@0.1.0#evaluate\")",
        r#"
(global $arguments (mut i32) (i32.const 0))
(func (export "looma:alerting/evaluator@0.1.0#evaluate") (param $at i32) (result i32)
    (global.set $arguments (local.get $at))
    (global.set $in (i32.load offset=12 (local.get $at)))
    (global.set $in_length (i32.load offset=16 (local.get $at)))
    (if (i32.le_u (global.get $in_length) (i32.const 2)) (then (return (call $fine))))
    (call $misdeed))
(func $fine (result i32)
    (call $verdicts
        (i32.const 1024) (i32.load offset=28 (global.get $arguments))
        (i32.load offset=48 (global.get $arguments)) (i32.load offset=28 (global.get $arguments))
        (i32.const 0) (i32.const 0)))"#,
    ),
    (
        "cabi_post_looma:alerting/evaluator@0.1.0#evaluate\")",
        r#"
(func (export "cabi_post_looma:alerting/evaluator@0.1.0#evaluate") (param i32) (global.set $free (i32.const 8192)))"#,
    ),
    // Verdicts of levels, scores and notes, with no state.
    (
        "(func $verdicts ",
        r#"
(func $verdicts (param i32 i32 i32 i32 i32 i32) (result i32)
    (i32.store (i32.const 768) (i32.const 0))
    (i32.store (i32.const 772) (local.get 0))
    (i32.store (i32.const 776) (local.get 1))
    (i32.store (i32.const 780) (local.get 2))
    (i32.store (i32.const 784) (local.get 3))
    (i32.store (i32.const 788) (local.get 4))
    (i32.store (i32.const 792) (local.get 5))
    (i32.store (i32.const 796) (i32.const 0))
    (i32.const 768))"#,
    ),
];

/// An honest strategy finds nothing. The host's text is the cursor.
const STRATEGY: [(&str, &str); 4] = [
    (
        "(export \"looma:discovery/strategy@0.1.0#discover\")",
        r#"
(func (export "looma:discovery/strategy@0.1.0#discover") (param i32 i32 i32 i32 i32) (result i32)
    (global.set $in (local.get 3))
    (global.set $in_length (local.get 4))
    (if (i32.le_u (local.get 1) (i32.const 2)) (then (return (call $fine))))
    (call $misdeed))
(func $fine (result i32)
    (call $page (i32.const 1024) (i32.const 0)))"#,
    ),
    (
        "cabi_post_looma:discovery/strategy@0.1.0#discover\")",
        r#"
(func (export "cabi_post_looma:discovery/strategy@0.1.0#discover") (param i32) (global.set $free (i32.const 8192)))"#,
    ),
    // A page of targets with no next; the same with a next; and a target whose four strings are one.
    (
        "(func $page ",
        r#"
(func $page (param i32 i32) (result i32)
    (i32.store (i32.const 768) (i32.const 0))
    (i32.store (i32.const 772) (local.get 0))
    (i32.store (i32.const 776) (local.get 1))
    (i32.store (i32.const 780) (i32.const 0))
    (i32.const 768))
(func $next (param i32 i32) (result i32)
    (drop (call $page (i32.const 1024) (i32.const 0)))
    (i32.store (i32.const 780) (i32.const 1))
    (i32.store (i32.const 784) (local.get 0))
    (i32.store (i32.const 788) (local.get 1))
    (i32.const 768))"#,
    ),
    (
        "(func $target ",
        r#"
(func $target (param $at i32) (param $text i32) (param $length i32) (local $n i32)
    (memory.fill (local.get $at) (i32.const 0) (i32.const 56))
    (loop $strings
        (i32.store (i32.add (local.get $at) (local.get $n)) (local.get $text))
        (i32.store offset=4 (i32.add (local.get $at) (local.get $n)) (local.get $length))
        (local.set $n (i32.add (local.get $n) (i32.const 8)))
        (br_if $strings (i32.lt_u (local.get $n) (i32.const 32)))))"#,
    ),
];
