//! `looma dev`: for trying Looma, and for writing plugins.

use std::{
    future::pending,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;

use super::{list, serve};
use crate::{
    agent,
    app::App,
    kit::{build, rebuild},
    run::{self, Running},
    settings::{Connect, Flags, Settings, files},
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
                        pending::<()>().await;
                    }
                });
                show_this_machine(running);
                serve::say_ready(running.address)
            })
            .await
        })
    }
}

/// Makes the machine that this runs on the first node: an agent inside, which speaks HTTP like any other.
fn show_this_machine(running: &Running) {
    let app = running.app.clone();
    let port = running.address.port();
    let host = if running.address.ip().is_loopback() { running.address.ip() } else { Ipv4Addr::LOCALHOST.into() };
    let server = format!("http://{}", std::net::SocketAddr::new(host, port));
    running.app.tasks.spawn("dev.agent", async move {
        if let Err(error) = report_this_machine(&app, server, port).await {
            tracing::warn!("this machine is not shown as a node: {error:#}");
        }
        pending::<()>().await;
    });
}

async fn report_this_machine(app: &App, server: String, port: u16) -> anyhow::Result<()> {
    let client = list::client(&Connect { server, token: None, data: app.settings.server.data.clone() })?;
    // A password that is not right any more is tried once: guessing would keep people out.
    client.get::<serde_json::Value>(&["auth", "me"]).await?;
    let (node_id, host_address) = (agent::default_node_id()?, Ipv4Addr::LOCALHOST.to_string());
    let config = agent::Config { node_id, host_address, port, interval: Duration::from_secs(10) };
    agent::run(&client, config, app.clock.clone(), pending()).await
}

fn workspace(asked: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let built_from = || Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned);
    let found = asked.or_else(built_from).filter(|folder| folder.join("plugins").is_dir());
    found.context(
        "there is no folder `plugins` with sources here: name the workspace with --workspace, or use `looma serve`",
    )
}
