//! `looma plugin new`: a project that builds, passes its cases, and needs nothing of this repository: the contract is copied into
//! it, out of this binary.

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, ensure};

use crate::plugins::{Kind, PluginName};

/// A language that there is a template for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    /// Rust.
    Rust,
}

impl FromStr for Lang {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "rust" => Ok(Self::Rust),
            _ => Err(format!(
                "there is no template for {text:?}, only for rust; a component of any language is taken that exports what the contract in wit/ says"
            )),
        }
    }
}

/// What differs from kind to kind.
struct Template {
    summary: &'static str,
    lib: &'static str,
    schema: &'static str,
    cases: &'static str,
    /// The package of the contract that its interface is in.
    package: (&'static str, &'static str),
}

const PLUGIN_WIT: &str = include_str!("../../../wit/plugin/plugin.wit");
const HOST_WIT: &str = include_str!("../../../wit/host/host.wit");
const ALERTING: (&str, &str) = ("alerting", include_str!("../../../wit/alerting/alerting.wit"));
const NOTIFY: (&str, &str) = ("notify", include_str!("../../../wit/notify/notify.wit"));
const DISCOVERY: (&str, &str) = ("discovery", include_str!("../../../wit/discovery/discovery.wit"));
const TALENT: (&str, &str) = ("talent", include_str!("../../../wit/talent/talent.wit"));

macro_rules! template {
    ($folder:literal, $package:expr, $summary:literal) => {
        Template {
            summary: $summary,
            lib: include_str!(concat!("templates/rust/", $folder, "/lib.rs")),
            schema: include_str!(concat!("templates/rust/", $folder, "/schema.json")),
            cases: include_str!(concat!("templates/rust/", $folder, "/cases.yaml")),
            package: $package,
        }
    };
}

fn template(kind: Kind) -> Template {
    match kind {
        Kind::AlertEvaluator => {
            template!(
                "alert-evaluator",
                ALERTING,
                "Breaches when the highest point of the last minutes is over a limit"
            )
        }
        Kind::Notifier => template!("notifier", NOTIFY, "Posts a line for each alert to a URL"),
        Kind::DiscoveryStrategy => template!("discovery-strategy", DISCOVERY, "Reads a list of services from a URL"),
        Kind::TalentMatcher => {
            template!("talent-matcher", TALENT, "Scores talents by the share of the skills asked for")
        }
        Kind::TalentEmbedder => {
            template!("talent-embedder", TALENT, "Turns texts into vectors by counting hashed words")
        }
        Kind::ResumeParser => template!("resume-parser", TALENT, "Drafts a profile from plain text"),
    }
}

/// Makes the project `OUT/NAME`. What is there already is left alone.
pub fn new(name: &PluginName, kind: Kind, lang: Lang, out: &Path) -> anyhow::Result<PathBuf> {
    ensure!(
        name.as_str().starts_with(|c: char| c.is_ascii_lowercase()),
        "{name} cannot be the name of a crate: it must begin with a letter"
    );
    let folder = out.join(name.as_str());
    ensure!(!folder.exists(), "{} is there already", folder.display());
    let files = match lang {
        Lang::Rust => rust(name, kind),
    };
    for (file, text) in files {
        let file = folder.join(file);
        let parent = file.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).with_context(|| format!("could not make the folder {}", parent.display()))?;
        fs::write(&file, text).with_context(|| format!("could not write {}", file.display()))?;
    }
    Ok(folder)
}

fn rust(name: &PluginName, kind: Kind) -> Vec<(String, String)> {
    let Template { summary, lib, schema, cases, package: (package, wit) } = template(kind);
    let filled = |text: &str| {
        text.replace("plugin-name", name.as_str())
            .replace("plugin-summary", summary)
            .replace("plugin-kind", kind.as_str())
    };
    let own = |file: &str, text: &str| (file.to_owned(), text.to_owned());
    vec![
        own("Cargo.toml", &filled(include_str!("templates/rust/manifest.toml"))),
        own("README.md", &filled(include_str!("templates/rust/readme.md"))),
        own(".gitignore", "/target\n*.wasm\n"),
        own("src/lib.rs", lib),
        own("src/lifecycle.rs", include_str!("templates/rust/lifecycle.rs")),
        own("src/schema.json", schema),
        own("tests/cases.yaml", cases),
        own("wit/plugin/plugin.wit", PLUGIN_WIT),
        own("wit/host/host.wit", HOST_WIT),
        (format!("wit/{package}/{package}.wit"), wit.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The versions that a project asks for are those that this workspace is tested with.
    #[test]
    fn templates_ask_for_what_the_workspace_is_tested_with() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let workspace = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let version = |manifest: &str, name: &str| {
            let line = manifest.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap().to_owned();
            line.split('"').nth(1).unwrap().to_owned()
        };
        let template = include_str!("templates/rust/manifest.toml");
        for name in ["serde", "serde_json", "serde_path_to_error", "wit-bindgen"] {
            assert_eq!(version(template, name), version(&workspace, name), "{name}");
        }
    }

    #[test]
    fn other_languages_are_refused_with_what_there_is() {
        assert_eq!("Rust".parse(), Ok(Lang::Rust));
        assert!("python".parse::<Lang>().unwrap_err().contains("only for rust"));
    }
}
