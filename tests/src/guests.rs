//! Guests that misbehave: a file of `tests/guests` each, made into a component here.
//!
//! A file begins with a comment that says the misdeed. Most are fields of a core module with a function `$misdeed`, which the
//! host's call reaches when the configuration is longer than `{}`; what is around them, and an honest answer to `{}`, comes
//! from here. `;; paths: pure` or `;; paths: io` says that a misdeed is for one kind of call alone, `;; whole` that the file is
//! the fields of a component. `;; repeat N` repeats the line below it, with the count in place of `{n}`.

use std::{collections::BTreeSet, fmt::Write as _};

use wit_parser::Resolve;

use crate::{plugins, root};

mod base;
mod wasi;

/// How a guest is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallPath {
    /// As an evaluator, which computes on a thread for such calls.
    Pure,
    /// As a discovery strategy, which may wait.
    Io,
}

impl CallPath {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Pure, Self::Io];

    /// As the name of a plugin has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Io => "io",
        }
    }
}

/// One file of `tests/guests`.
pub struct Guest {
    name: String,
    text: String,
}

impl Guest {
    /// Reads `NAME.wat`.
    pub fn read(name: &str) -> Self {
        let file = root().join(format!("tests/guests/{name}.wat"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(text.starts_with(";; "), "{name}.wat begins with what it does");
        Self { name: name.to_owned(), text: repeated(&text) }
    }

    /// The names of all files.
    pub fn names() -> BTreeSet<String> {
        let files = std::fs::read_dir(root().join("tests/guests")).expect("the folder is there");
        let name = |file: std::fs::DirEntry| file.path().file_stem().map(|stem| stem.to_string_lossy().into_owned());
        files.flatten().filter_map(name).collect()
    }

    /// The calls that the misdeed is for.
    pub fn paths(&self) -> Vec<CallPath> {
        let said = self.text.lines().find_map(|line| line.strip_prefix(";; paths: "));
        CallPath::ALL.into_iter().filter(|path| said.is_none_or(|said| said == path.as_str())).collect()
    }

    /// The component, for a plugin of this name.
    pub fn component(&self, path: CallPath, plugin: &str) -> Vec<u8> {
        if self.text.lines().any(|line| line == ";; whole") {
            let text = format!("(component {}\n{})", self.text, base::BARE_EXPORTS);
            return wat::parse_str(text).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        }
        let (imports, fields): (Vec<&str>, Vec<&str>) =
            self.text.lines().partition(|line| line.trim_start().starts_with("(import "));
        let mut fields = fields.join("\n");
        for (unless, field) in base::parts(path) {
            if !fields.contains(unless) {
                fields.push_str(field);
            }
        }
        let interfaces: BTreeSet<&str> = imports.iter().filter_map(|import| import.split('"').nth(1)).collect();
        let mut world = String::new();
        for interface in interfaces {
            let _ = writeln!(world, "import {interface};");
        }
        world.push_str(match path {
            CallPath::Pure => "export looma:alerting/evaluator@0.1.0;",
            CallPath::Io => "export looma:discovery/strategy@0.1.0;",
        });
        let module = format!("(module {}\n{}\n{fields})", imports.join("\n"), base::descriptor(plugin));
        plugins::encode(resolve(), &world, &module)
    }
}

/// The component of the guest in `NAME.wat`, for a plugin of the same name.
pub fn component(name: &str, path: CallPath) -> Vec<u8> {
    Guest::read(name).component(path, name)
}

fn resolve() -> Resolve {
    let mut resolve = plugins::contract();
    resolve.push_str("wasi.wit", wasi::INTERFACES).expect("the interfaces parse");
    resolve
}

fn repeated(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(times) = line.trim_start().strip_prefix(";; repeat ") else {
            let _ = writeln!(out, "{line}");
            continue;
        };
        let times: usize = times.parse().expect("a number of repeats");
        let line = lines.next().expect("a line to repeat");
        for n in 0..times {
            let _ = writeln!(out, "{}", line.replace("{n}", &n.to_string()));
        }
    }
    out
}
