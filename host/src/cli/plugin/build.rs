//! `looma plugin build`.

use std::{io::Write as _, path::PathBuf};

use anyhow::ensure;

use crate::kit::build::{self, Built};

/// What `looma plugin build` takes.
#[derive(clap::Args)]
pub struct Build {
    /// The crates; the current folder when absent.
    #[arg(value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Every plugin of the workspace in the current folder, in one go.
    #[arg(long, conflicts_with = "folders")]
    bundled: bool,
    /// Where the components go.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

impl Build {
    pub async fn run(self) -> anyhow::Result<()> {
        let Self { folders, bundled, out } = self;
        if bundled {
            return say(&build::build_bundled(".".as_ref(), &out).await?);
        }
        let folders = if folders.is_empty() { vec![PathBuf::from(".")] } else { folders };
        let mut built = Vec::new();
        for folder in &folders {
            ensure!(folder.is_dir(), "there is no folder {}", folder.display());
            built.push(build::build(folder, &out).await?);
        }
        say(&built)
    }
}

fn say(built: &[Built]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for Built { name, file, is_new } in built {
        let what = if *is_new { "built" } else { "unchanged" };
        writeln!(out, "{what} {name}: {}", file.display())?;
    }
    Ok(())
}
