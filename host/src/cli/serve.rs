//! `looma serve`.

use std::io::{IsTerminal as _, Write as _};

use tracing_subscriber::EnvFilter;

use crate::{
    run,
    settings::{self, Flags, Settings},
};

/// What `looma serve` takes.
#[derive(clap::Args)]
pub struct Serve {
    #[command(flatten)]
    flags: Flags,
}

impl Serve {
    pub fn run(self) -> anyhow::Result<()> {
        start_logs();
        let settings = Settings::load(&self.flags)?;
        runtime()?.block_on(run::run(settings, |running| say_ready(running.address)))
    }
}

/// Logs go to standard error: text on a terminal, JSON otherwise.
pub fn start_logs() {
    start_logs_of(&settings::log_filter());
}

/// For subcommands that people run: what they print is the answer, and logs are for trouble.
pub fn start_quiet_logs() {
    start_logs_of(&settings::log_filter_or("error,looma::kit=info,looma::plugins::host_api::log=info"));
}

fn start_logs_of(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        lines.init();
    } else {
        lines.json().flatten_event(true).init();
    }
}

pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// The one line on standard output that scripts wait for.
pub fn say_ready(address: std::net::SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    Ok(out.flush()?)
}
