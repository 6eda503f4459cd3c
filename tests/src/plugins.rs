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
