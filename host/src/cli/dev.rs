//! `looma dev`: for trying Looma, and for writing plugins.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::serve;
use crate::{
    kit::{build, rebuild},
    run,
    settings::{Flags, Settings, files},
};

/// What `looma dev` takes.
#[derive(clap::Args)]
pub struct Dev {
    #[command(flatten)]
    flags: Flags,
    /// The workspace whose plugins are built and watched; the one that this binary was built from when absent.
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,
}

impl Dev {
    pub fn run(self) -> anyhow::Result<()> {
        serve::start_logs();
        let settings = Settings::load(&self.flags)?;
        let workspace = workspace(self.workspace)?;
        let out = settings.plugins_dir();
        files::make_private_folder(&settings.server.data)?;
        files::make_private_folder(&out)?;
        serve::runtime()?.block_on(async {
            tracing::info!("building the bundled plugins into {}", out.display());
            let built = build::build_bundled(&workspace, &out).await?;
            tracing::info!(plugins = built.len(), "built {} plugins", built.len());
            run::run(settings, move |running| {
                let rebuild = rebuild::rebuild_on_change(workspace, out);
                running.app.tasks.spawn("dev.rebuild", async move {
                    if let Err(error) = rebuild.await {
                        tracing::error!("the sources of the plugins are not watched: {error:#}");
                        std::future::pending::<()>().await;
                    }
                });
                serve::say_ready(running.address)
            })
            .await
        })
    }
}

fn workspace(asked: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let built_from = || Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned);
    let found = asked.or_else(built_from).filter(|folder| folder.join("plugins").is_dir());
    found.context(
        "there is no folder `plugins` with sources here: name the workspace with --workspace, or use `looma serve`",
    )
}
