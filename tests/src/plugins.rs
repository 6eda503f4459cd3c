//! Components for tests: the bundled plugins, and guests made by hand that misbehave.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::{bundled, root};

/// The binary of `looma` that was built beside the tests.
pub fn looma_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let own = std::env::current_exe().expect("a test has a binary");
        // target/PROFILE/deps/it-…
        own.parent().and_then(Path::parent).expect("it stands in deps").join("looma")
    })
}

/// The component of a bundled plugin.
pub fn component(name: &str) -> Vec<u8> {
    let file = bundled(looma_binary()).join(format!("{name}.wasm"));
    std::fs::read(file).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The same component with another digest: it carries a note that means nothing.
pub fn renewed(mut component: Vec<u8>, note: &str) -> Vec<u8> {
    let length = u8::try_from(note.len()).ok().filter(|length| *length < 127).expect("a short note");
    // A custom section: its number, its size, the length of its name, its name.
    component.extend([0, length + 1, length]);
    component.extend(note.as_bytes());
    component
}

/// An evaluator named `name`, written by hand: `plan` and `evaluate` are instructions of core WebAssembly that leave the address of
/// their result. At 512 lies the result of a plan that asks for nothing, and the memory is zero elsewhere from 1024 on.
pub fn evaluator(name: &str, plan: &str, evaluate: &str) -> Vec<u8> {
    guest(
        name,
        "import looma:host/log@0.1.0; export looma:alerting/evaluator@0.1.0;",
        "",
        &format!(
            r#"(func (export "looma:alerting/evaluator@0.1.0#plan") (param i32 i32) (result i32) {plan})
           (func (export "looma:alerting/evaluator@0.1.0#evaluate") (param i32) (result i32) {evaluate})"#
        ),
    )
}

/// An evaluator that counts, for each series, how often it was asked: the count is its state and its score.
pub struct Counter {
    /// What it says of every series.
    pub level: u8,
    /// The form of the states that it reads; it refuses any other.
    pub reads: u32,
    /// The form of the states that it writes.
    pub writes: u32,
    /// Instructions before it judges.
    pub first: &'static str,
}

impl Default for Counter {
    fn default() -> Self {
        Self { level: 0, reads: 1, writes: 1, first: "" }
    }
}

impl Counter {
    /// The component, under `name`. It takes up to 64 series a call.
    pub fn component(&self, name: &str) -> Vec<u8> {
        let Self { level, reads, writes, first } = self;
        let plan = "(i32.store8 (i32.const 529) (i32.const 1)) (i32.const 512)";
        evaluator(
            name,
            plan,
            &COUNT
                .replace("LEVEL", &level.to_string())
                .replace("READS", &reads.to_string())
                .replace("WRITES", &writes.to_string())
                .replace("FIRST", first),
        )
    }
}

/// The argument lies in memory: the batch's ids at 24, the state's tag at 64, its form at 68, offsets at 72, blob at 80.
const COUNT: &str = r#"
    (local $n i32) (local $i i32) (local $count i32) (local $from i32)
    FIRST
    (if (i32.and (i32.load8_u offset=64 (local.get 0)) (i32.and (i32.ne (i32.load offset=84 (local.get 0)) (i32.const 0))
            (i32.ne (i32.load offset=68 (local.get 0)) (i32.const READS))))
        (then
            (i32.store8 (i32.const 2048) (i32.const 1))
            (i32.store8 (i32.const 2052) (i32.const 1))
            (i32.store (i32.const 1500) (i32.const 0x6d726f66))
            (i32.store (i32.const 2056) (i32.const 1500))
            (i32.store (i32.const 2060) (i32.const 4))
            (return (i32.const 2048))))
    (local.set $n (i32.load offset=28 (local.get 0)))
    (block $done (loop $each
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $count (i32.const 0))
        (if (i32.load8_u offset=64 (local.get 0)) (then
            (local.set $from (i32.load (i32.add (i32.load offset=72 (local.get 0)) (i32.shl (local.get $i) (i32.const 2)))))
            (if (i32.ne (local.get $from)
                    (i32.load offset=4 (i32.add (i32.load offset=72 (local.get 0)) (i32.shl (local.get $i) (i32.const 2)))))
                (then (local.set $count (i32.load (i32.add (i32.load offset=80 (local.get 0)) (local.get $from))))))))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (i32.store8 (i32.add (i32.const 2304) (local.get $i)) (i32.const LEVEL))
        (f64.store (i32.add (i32.const 2560) (i32.shl (local.get $i) (i32.const 3))) (f64.convert_i32_u (local.get $count)))
        (i32.store (i32.add (i32.const 3584) (i32.shl (local.get $i) (i32.const 2))) (local.get $count))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (i32.store (i32.add (i32.const 3072) (i32.shl (local.get $i) (i32.const 2))) (i32.shl (local.get $i) (i32.const 2)))
        (br $each)))
    (i32.store8 (i32.const 2048) (i32.const 0))
    (i32.store (i32.const 2052) (i32.const 2304)) (i32.store (i32.const 2056) (local.get $n))
    (i32.store (i32.const 2060) (i32.const 2560)) (i32.store (i32.const 2064) (local.get $n))
    (i32.store (i32.const 2068) (i32.const 0)) (i32.store (i32.const 2072) (i32.const 0))
    (i32.store8 (i32.const 2076) (i32.const 1))
    (i32.store (i32.const 2080) (i32.const WRITES))
    (i32.store (i32.const 2084) (i32.const 3072)) (i32.store (i32.const 2088) (i32.add (local.get $n) (i32.const 1)))
    (i32.store (i32.const 2092) (i32.const 3584)) (i32.store (i32.const 2096) (i32.shl (local.get $n) (i32.const 2)))
    (i32.const 2048)"#;

/// A component that exports the lifecycle under `name`, what `items` of its world say, and `imports` and
/// `functions` of its module.
pub fn guest(name: &str, items: &str, imports: &str, functions: &str) -> Vec<u8> {
    encode(contract(), items, &module(name, imports, functions))
}

/// The packages of `wit/`.
pub(crate) fn contract() -> Resolve {
    let mut resolve = Resolve::default();
    for package in ["plugin", "host", "alerting", "notify", "discovery", "talent"] {
        resolve.push_path(root().join("wit").join(package)).expect("the contract parses");
    }
    resolve
}

/// Makes a component of a module in text, in a world that exports the lifecycle and what `items` say.
pub(crate) fn encode(mut resolve: Resolve, items: &str, module: &str) -> Vec<u8> {
    let world = format!("package test:guest; world guest {{ export looma:plugin/lifecycle@0.1.0; {items} }}");
    let package = resolve.push_str("guest.wit", &world).expect("the world parses");
    let world = resolve.select_world(&[package], Some("guest")).expect("there is a world");
    let mut module = wat::parse_str(module).unwrap_or_else(|error| panic!("the module parses: {error}"));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).expect("the world is put in");
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    encoder.module(&module).expect("the module fits its world");
    encoder.encode().expect("it becomes a component")
}

fn module(name: &str, imports: &str, functions: &str) -> String {
    // A descriptor is four strings: address and length each.
    let strings = [(128, name.len()), (256, 5), (264, 2), (272, 2)];
    let descriptor: String = strings
        .iter()
        .flat_map(|(at, length)| [*at, u32::try_from(*length).expect("a short name")])
        .flat_map(u32::to_le_bytes)
        .map(|byte| format!("\\{byte:02x}"))
        .collect();
    format!(
        r#"(module
            {imports}
            (memory (export "memory") 1)
            (global $free (mut i32) (i32.const 8192))
            (data (i32.const 0) "{descriptor}")
            (data (i32.const 128) "{name}")
            (data (i32.const 256) "1.0.0   hi      {{}}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
                (global.set $free (i32.add (local.get $at) (local.get 3)))
                (block $fits
                    (br_if $fits (i32.lt_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
                    (drop (memory.grow (i32.add (i32.div_u (local.get 3) (i32.const 65536)) (i32.const 1)))))
                (local.get $at))
            (func (export "looma:plugin/lifecycle@0.1.0#describe") (result i32) (i32.const 0))
            (func (export "looma:plugin/lifecycle@0.1.0#check") (param i32 i32) (result i32) (i32.const 1024))
            {functions})"#
    )
}
