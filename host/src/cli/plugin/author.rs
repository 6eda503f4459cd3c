//! `looma plugin new`, `check` and `test`.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};

use super::super::list::print;
use crate::{
    kit::{
        cases, new, report,
        workbench::{Workbench, component},
    },
    plugins::Kind,
    settings,
};

/// What `looma plugin new` takes.
#[derive(clap::Args)]
pub struct New {
    /// The plugin's name, and that of the folder that is made.
    name: String,
    /// What it is for: alert-evaluator, notifier, discovery-strategy, talent-matcher, talent-embedder or resume-parser.
    #[arg(long, value_parser = kind)]
    kind: Kind,
    /// The language it is written in.
    #[arg(long, default_value = "rust")]
    lang: String,
    /// The folder that the project is made in.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

fn kind(text: &str) -> Result<Kind, String> {
    text.parse().map_err(|_| {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("there is no such kind; there are {}", known.join(", "))
    })
}

impl New {
    pub fn run(self) -> anyhow::Result<()> {
        let Self { name, kind, lang, out } = self;
        let lang = lang.parse().map_err(anyhow::Error::msg)?;
        let name = name.parse().map_err(anyhow::Error::msg)?;
        let folder = new::new(&name, kind, lang, &out)?;
        print(&format!(
            "made {at}, of kind {kind}\n\n  looma plugin build {at}    makes {name}.wasm\n  looma plugin test {at}     runs its cases\n  looma plugin check {at}    says whether a server would take it",
            at = folder.display()
        ))
    }
}

/// What `looma plugin check` takes.
#[derive(clap::Args)]
pub struct Check {
    /// The component, or the crate that makes it.
    #[arg(value_name = "FILE|DIR")]
    what: PathBuf,
    /// The whole report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kit: settings::Kit,
}

impl Check {
    pub async fn run(self) -> anyhow::Result<()> {
        let Self { what, json, kit } = self;
        let wasm = component(&what).await?;
        let admission = Workbench::open(&kit.cache()?)?.admission(&wasm).await;
        let text = if json { serde_json::to_string_pretty(&admission)? } else { report::admission(&admission) };
        print(&text)?;
        ensure!(admission.admitted, "{} would be refused", what.display());
        Ok(())
    }
}

/// What `looma plugin test` takes.
#[derive(clap::Args)]
pub struct Test {
    /// The crate, which is built first, or a component; the current folder when absent.
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    what: PathBuf,
    /// Files or folders with cases; `tests` in the crate when absent.
    #[arg(long, value_name = "PATH")]
    cases: Vec<PathBuf>,
    #[command(flatten)]
    kit: settings::Kit,
}

impl Test {
    pub async fn run(self) -> anyhow::Result<()> {
        let Self { what, cases, kit } = self;
        let files = case_files(&what, cases)?;
        let wasm = component(&what).await?;
        let bench = Workbench::open(&kit.cache()?)?;
        let name = bench.load(&wasm).await?;
        let (mut passed, mut failed) = (0, 0);
        for file in files {
            print(&file.display().to_string())?;
            for case in cases::read(&file)? {
                let faults = cases::run(&bench, &name, &case).await;
                let mark = if faults.is_empty() { "ok  " } else { "FAIL" };
                print(&format!("  {mark}  {}", case.name))?;
                for fault in &faults {
                    print(&format!("        {}", fault.replace('\n', "\n        ")))?;
                }
                if faults.is_empty() { passed += 1 } else { failed += 1 }
            }
        }
        print(&format!("{passed} passed, {failed} failed"))?;
        ensure!(failed == 0, "{failed} of {} cases failed", passed + failed);
        Ok(())
    }
}

/// Where the cases are: those that were named, or the crate's own.
pub(super) fn case_files(what: &Path, named: Vec<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    if named.is_empty() && !what.is_dir() {
        bail!("a component has no cases with it: name them with --cases");
    }
    let folders = if named.is_empty() { vec![what.join("tests")] } else { named };
    let files = cases::find(&folders)?;
    let searched: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    ensure!(!files.is_empty(), "there is no file with cases, as cases.yaml, in {}", searched.join(", "));
    Ok(files)
}
