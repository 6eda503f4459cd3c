//! The code keeps to its own rules: floors and arrows, who may name which crate, sizes, headers, layout.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// What a module of the host may import from, beside itself. Floors from the ground up; arrows as drawn in `lib.rs`.
const ARROWS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("ids", &["clock"]),
    ("db", &["clock", "ids"]),
    ("feed", &["clock", "ids", "db", "http", "lifecycle"]),
    ("http", &["clock", "ids", "db", "feed", "lifecycle"]),
    ("lifecycle", &["clock", "ids"]),
    ("settings", &["clock", "ids", "db"]),
    ("wasm", &["clock", "ids", "lifecycle"]),
    ("users", &[]),
    ("audit", &[]),
    ("system", &[]),
    ("secrets", &[]),
    ("plugins", &["wasm", "config", "secrets"]),
    ("registry", &[]),
    ("discovery", &["registry", "plugins"]),
    ("metrics", &["registry"]),
    ("gateway", &["registry"]),
    ("notify", &["plugins"]),
    ("alerts", &["notify", "metrics", "registry", "plugins"]),
    ("talent", &["plugins"]),
    ("client", &["clock"]),
    ("agent", &["client", "clock", "ids"]),
];
const DOMAINS: &[&str] = &[
    "users",
    "audit",
    "system",
    "secrets",
    "plugins",
    "registry",
    "discovery",
    "metrics",
    "gateway",
    "notify",
    "alerts",
    "talent",
];
const BELOW_DOMAINS: &[&str] = &["clock", "ids", "db", "feed", "http", "lifecycle", "settings", "app"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// What stands before the unit tests.
    fn code(&self) -> &str {
        self.text.split("#[cfg(test)]").next().unwrap()
    }

    /// Lines of code that are no comments, with their numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code()
            .lines()
            .enumerate()
            .map(|(n, line)| (n + 1, line))
            .filter(|(_, line)| !line.trim().starts_with("//"))
    }

    /// Path below `host/src`.
    fn module(&self) -> &str {
        self.path.strip_prefix("host/src/").unwrap_or("")
    }
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" {
                left.push(path);
            } else if name.ends_with(".rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(Source { path: path.strip_prefix(root()).unwrap().to_string_lossy().into_owned(), text });
            }
        }
    }
    assert!(!found.is_empty());
    found
}

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    let faults: Vec<_> = sources(&["host", "plugins", "tests"])
        .iter()
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| format!("{}: begins without //!", source.path))
        .collect();
    report(&faults);
}

#[test]
fn no_file_is_two_things() {
    let faults: Vec<_> = sources(&["host", "plugins", "tests"])
        .iter()
        .map(|source| (source, source.code().lines().count()))
        .filter(|(_, lines)| *lines > 500)
        .map(|(source, lines)| format!("{}: {lines} lines before its tests", source.path))
        .collect();
    report(&faults);
}

/// Lines of the host that name `word` where `allowed` says no.
fn misplaced(word: &str, allowed: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources(&["host/src"]) {
        for (n, line) in source.lines() {
            if line.contains(word) && !allowed(source.module(), line) {
                faults.push(format!("{}:{n}: names {word}: {}", source.path, line.trim()));
            }
        }
    }
    faults
}

#[test]
fn crates_are_named_where_they_belong() {
    let derive = |line: &str| line.contains("sqlx::Type") || line.contains("sqlx::FromRow") || line.contains("#[sqlx(");
    let mut faults = misplaced("sqlx", |at, line| {
        at.starts_with("db/")
            || at.ends_with("queries.rs")
            || derive(line)
            || at == "cli/serve.rs"
            || at == "settings/mod.rs"
    });
    // `App` derives what hands its parts to handlers.
    faults.extend(misplaced("axum", |at, line| {
        at.starts_with("http/")
            || at.ends_with("routes.rs")
            || (at == "app.rs" && line.contains("FromRef"))
            || line.contains("utoipa_axum")
    }));
    faults.extend(misplaced("wasmtime", |at, line| {
        at.starts_with("wasm/") || at.starts_with("plugins/") || line.contains("wasmtime=warn")
    }));
    faults.extend(misplaced("SystemTime", |at, _| at == "clock.rs"));
    faults.extend(misplaced("std::env", |at, _| at.starts_with("settings/")));
    let files = ["settings/", "db/", "plugins/", "wasm/", "kit/", "cli/"];
    faults.extend(misplaced("std::fs", |at, _| files.iter().any(|folder| at.starts_with(folder))));
    report(&faults);
}

/// The modules that a file imports: `crate::a::b` as `a::b`, out of plain and nested `use`.
fn imports(source: &Source) -> BTreeSet<String> {
    let text: String = source.lines().map(|(_, line)| line).collect::<Vec<_>>().join(" ");
    let mut found = BTreeSet::new();
    for part in text.split("crate::").skip(1) {
        if let Some(group) = part.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 && c == ',' {
                    found.insert(word.trim().to_owned());
                    word.clear();
                } else if depth == 0 || !word.is_empty() {
                    word.push(c);
                }
            }
            found.insert(word.trim().to_owned());
        } else {
            found.insert(part.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect());
        }
    }
    found.remove("");
    found
}

/// The router names every domain and stands with `run`; unit tests in a file of their own may build guests.
fn is_exempt(module: &str) -> bool {
    module == "http/router.rs" || module.ends_with("/tests.rs")
}

#[test]
fn no_import_goes_up_or_along_an_arrow_that_is_not_drawn() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut faults = Vec::new();
    for source in sources(&["host/src"]) {
        let own = source.module().split(['/', '.']).next().unwrap();
        let Some(drawn) = arrows.get(own).filter(|_| !is_exempt(source.module())) else { continue };
        for import in imports(&source) {
            let top = import.split([':', '{', ' ']).next().unwrap();
            let known = arrows.contains_key(top) || ["app", "run", "cli", "kit"].contains(&top);
            let below = DOMAINS.contains(&own) && BELOW_DOMAINS.contains(&top);
            let along = drawn.iter().any(|to| import == *to || import.starts_with(&format!("{to}::")) || *to == top);
            if known && top != own && !below && !along {
                faults.push(format!("{}: imports {import}", source.path));
            }
        }
    }
    report(&faults);
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(root().join("migrations").join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
    assert!(!names("sqlite").is_empty());
}

#[test]
fn the_top_level_is_what_was_agreed() {
    let agreed = [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "README.md",
        "examples",
        "host",
        "migrations",
        "plugins",
        "tests",
        "wit",
    ];
    let made_by_use = ["target", "data"];
    let faults: Vec<_> = std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| {
            !name.starts_with('.') && !agreed.contains(&name.as_str()) && !made_by_use.contains(&name.as_str())
        })
        .collect();
    report(&faults);
}

#[test]
fn tests_never_sleep() {
    let faults: Vec<_> = sources(&["tests/it"])
        .iter()
        .filter(|source| !source.path.ends_with("tidy.rs"))
        .flat_map(|source| {
            let lines = source.text.lines().enumerate();
            lines
                .filter(|(_, line)| line.contains("sleep("))
                .map(|(n, _)| format!("{}:{}", source.path, n + 1))
                .collect::<Vec<_>>()
        })
        .collect();
    report(&faults);
}
