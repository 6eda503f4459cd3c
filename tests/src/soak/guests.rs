//! The plugins. A good one says in its answers which version it is, so that an answer can be held against the version it names.

use crate::{
    guests::{CallPath, Guest},
    plugins::{guest, renewed},
};

/// What a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// An evaluator: the score of a series is its value and the mark of the version.
    Judge,
    /// A strategy: the next cursor is the mark of the version.
    Finder,
    /// A guest with a misdeed.
    Hostile(&'static str, CallPath),
}

/// Traps, endless loops, memory that is taken and never given back, and recursion.
const HOSTILE: [(&str, CallPath); 8] = [
    ("unreachable", CallPath::Pure),
    ("spin", CallPath::Pure),
    ("grow-memory", CallPath::Pure),
    ("panic", CallPath::Io),
    ("spin", CallPath::Io),
    ("fill-memory", CallPath::Pure),
    ("creep", CallPath::Pure),
    ("recurse", CallPath::Io),
];

impl Sort {
    /// What the plugin of this number is: one in eight is hostile, and one in eight a strategy.
    pub(super) fn of(number: usize) -> Self {
        match number % 8 {
            7 => {
                let (guest, path) = HOSTILE[number / 8 % HOSTILE.len()];
                Self::Hostile(guest, path)
            }
            3 => Self::Finder,
            _ => Self::Judge,
        }
    }

    /// The component of a version.
    pub(super) fn component(self, name: &str, mark: u32) -> Vec<u8> {
        match self {
            Self::Judge => {
                let judge = JUDGE.replace("MARK", &mark.to_string());
                guest(name, "import looma:host/log@0.1.0; export looma:alerting/evaluator@0.1.0;", "", &judge)
            }
            Self::Finder => {
                let text = mark.to_string();
                let finder = FINDER.replace("MARK", &text).replace("LENGTH", &text.len().to_string());
                guest(name, "export looma:discovery/strategy@0.1.0;", "", &finder)
            }
            Self::Hostile(guest, path) => renewed(Guest::read(guest).component(path, name), &mark.to_string()),
        }
    }
}

/// The argument lies in memory: the number of series at 28, the address of their values at 48. One point a series, 64 at most.
const JUDGE: &str = r#"
(func (export "looma:alerting/evaluator@0.1.0#plan") (param i32 i32) (result i32) (i32.const 512))
(func (export "looma:alerting/evaluator@0.1.0#evaluate") (param i32) (result i32) (local $n i32) (local $i i32)
    (local.set $n (i32.load offset=28 (local.get 0)))
    (block $done (loop $each
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (f64.store (i32.add (i32.const 2560) (i32.shl (local.get $i) (i32.const 3)))
            (f64.add (f64.const MARK)
                (f64.load (i32.add (i32.load offset=48 (local.get 0)) (i32.shl (local.get $i) (i32.const 3))))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $each)))
    (i32.store (i32.const 2048) (i32.const 0))
    (i32.store (i32.const 2052) (i32.const 1024)) (i32.store (i32.const 2056) (local.get $n))
    (i32.store (i32.const 2060) (i32.const 2560)) (i32.store (i32.const 2064) (local.get $n))
    (i32.store (i32.const 2068) (i32.const 1024)) (i32.store (i32.const 2072) (i32.const 0))
    (i32.store (i32.const 2076) (i32.const 0))
    (i32.const 2048))
(func (export "cabi_post_looma:alerting/evaluator@0.1.0#evaluate") (param i32) (global.set $free (i32.const 8192)))"#;

const FINDER: &str = r#"
(data (i32.const 512) "MARK")
(func (export "looma:discovery/strategy@0.1.0#discover") (param i32 i32 i32 i32 i32) (result i32)
    (i32.store (i32.const 2048) (i32.const 0))
    (i32.store (i32.const 2052) (i32.const 1024)) (i32.store (i32.const 2056) (i32.const 0))
    (i32.store (i32.const 2060) (i32.const 1))
    (i32.store (i32.const 2064) (i32.const 512)) (i32.store (i32.const 2068) (i32.const LENGTH))
    (i32.const 2048))"#;
