//! The settings of this process: defaults, then `looma.toml`, then `LOOMA_…` of the environment, then flags.
//!
//! Everything has a default that is safe, so it starts with no file at all. This is the one place that reads the
//! environment. A section is a file; a fault names the setting.

mod alerts;
mod auth;
mod client;
mod database;
mod dns;
pub mod files;
mod gateway;
mod kit;
mod mail;
mod metrics;
mod plugins;
mod registry;
mod secrets;
mod server;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

pub use alerts::Alerts;
pub use auth::Auth;
pub use client::Connect;
pub use database::Database;
pub use dns::Dns;
pub use gateway::Gateway;
pub use kit::Kit;
pub use mail::{Mail, MailTls};
pub use metrics::Metrics;
pub use plugins::Plugins;
pub use registry::Registry;
pub use secrets::Secrets;
pub use server::Server;

/// Everything that can be set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
pub struct Settings {
    /// Where it listens and keeps its files.
    pub server: Server,
    /// Where the data is.
    pub database: Database,
    /// Sign-in.
    pub auth: Auth,
    /// Leases.
    pub registry: Registry,
    /// Clients of other protocols.
    pub gateway: Gateway,
    /// The registry as a zone of DNS.
    pub dns: Dns,
    /// Samples.
    pub metrics: Metrics,
    /// Evaluation and delivery.
    pub alerts: Alerts,
    /// Sandboxed components.
    pub plugins: Plugins,
    /// What plugins name and never see.
    pub secrets: Secrets,
    /// The server that mail goes through.
    pub mail: Mail,
}

/// What the command line says, over everything else.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Address and port to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<std::net::SocketAddr>,
    /// Folder for everything that this process keeps.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// `postgres://…`, or `sqlite:FILE`; SQLite in the data folder when absent.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Folder that plugins are loaded from; `DATA/plugins` when absent.
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
    /// File with settings; `looma.toml` in the current folder when absent, if it is there.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Settings {
    /// Reads file and environment and lays the flags over them.
    pub fn load(flags: &Flags) -> anyhow::Result<Self> {
        let mut sources = config::Config::builder();
        let default = Path::new("looma.toml");
        if let Some(file) = flags.config.as_deref().or_else(|| default.exists().then_some(default)) {
            sources = sources.add_source(config::File::from(file).format(config::FileFormat::Toml));
        }
        let environment =
            config::Environment::with_prefix("LOOMA").prefix_separator("_").separator("__").try_parsing(true);
        let read = sources.add_source(environment.source(Some(environment_of_settings()))).build();
        let mut settings: Self =
            read.and_then(config::Config::try_deserialize).context("could not read the settings")?;
        settings.lay_over(flags);
        settings.check()?;
        Ok(settings)
    }

    fn lay_over(&mut self, flags: &Flags) {
        let Flags { listen, data, database_url, plugins, config: _ } = flags.clone();
        if let Some(listen) = listen {
            self.server.listen = listen;
        }
        if let Some(data) = data {
            self.server.data = data;
        }
        if let Some(url) = database_url {
            self.database.url = Some(url);
        }
        if let Some(plugins) = plugins {
            self.plugins.dir = Some(plugins);
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        self.database_url()?;
        self.server
            .check()
            .and_then(|()| self.auth.check())
            .and_then(|()| self.registry.check())
            .and_then(|()| self.gateway.check())
            .and_then(|()| self.dns.check())
            .and_then(|()| self.metrics.check())
            .and_then(|()| self.alerts.check())
            .and_then(|()| self.mail.check())
            .map_err(anyhow::Error::msg)
    }

    /// The database that was asked for, or a file in the data folder.
    pub fn database_url(&self) -> anyhow::Result<crate::db::DbUrl> {
        match &self.database.url {
            Some(url) => url.parse().map_err(anyhow::Error::msg).context("database.url is not right"),
            None => Ok(crate::db::DbUrl::Sqlite(self.server.data.join("looma.db"))),
        }
    }

    /// Where plugins are loaded from.
    pub fn plugins_dir(&self) -> PathBuf {
        self.plugins.dir.clone().unwrap_or_else(|| self.server.data.join("plugins"))
    }
}

/// Names that scripts know, said the way the file says them; the administrator's password is no setting.
fn environment_of_settings() -> config::Map<String, String> {
    let short = [
        ("LOOMA_LISTEN", "LOOMA_SERVER__LISTEN"),
        ("LOOMA_DATA", "LOOMA_SERVER__DATA"),
        ("LOOMA_DATABASE_URL", "LOOMA_DATABASE__URL"),
        ("LOOMA_PLUGINS", "LOOMA_PLUGINS__DIR"),
    ];
    std::env::vars()
        .filter(|(name, _)| name.starts_with("LOOMA_") && !name.starts_with("LOOMA_TEST_"))
        .filter(|(name, _)| !["LOOMA_ADMIN_PASSWORD", "LOOMA_LOG", "LOOMA_URL", "LOOMA_TOKEN"].contains(&name.as_str()))
        .map(|(name, value)| {
            let long =
                short.iter().find(|(short, _)| *short == name).map_or(name.clone(), |(_, long)| (*long).to_owned());
            (long, value)
        })
        .collect()
}

/// The first administrator's password, if the environment gives one.
#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
pub fn admin_password() -> Option<String> {
    std::env::var("LOOMA_ADMIN_PASSWORD").ok().filter(|password| !password.is_empty())
}

/// What is logged, in the syntax of `RUST_LOG`: `LOOMA_LOG`, or `info`.
pub fn log_filter() -> String {
    log_filter_or("info,sqlx=warn,wasmtime=warn,cranelift=warn")
}

/// What is logged: `LOOMA_LOG`, or `otherwise`.
#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
pub fn log_filter_or(otherwise: &str) -> String {
    std::env::var("LOOMA_LOG").unwrap_or_else(|_| otherwise.to_owned())
}

/// The binary that runs.
pub fn this_executable() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("could not find the binary that runs")
}
