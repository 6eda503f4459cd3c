//! Load on the registry as its users put it: real servers in processes of their own on loopback, driven over plain connections that
//! are kept open. What is looked for is how many heartbeats, lists and registrations a second, how long each takes, how soon others
//! know, and what it costs; and the same of r-nacos in the same run, where that is installed.
//!
//! The program `load` does it at its full size, a test does it in small. Nothing here stands in for a server.

mod beating;
mod compare;
mod contenders;
mod failover;
mod figures;
mod lanes;
mod push;
mod servers;
mod watchers;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub use beating::ten_minutes;
pub use compare::compare;
pub use failover::failover;
pub use watchers::watchers;

/// What is to be done, and how much of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The binary of Looma.
    pub looma: PathBuf,
    /// The binary of r-nacos, if it is to be measured too.
    pub rnacos: Option<PathBuf>,
    /// Whether Looma stands on PostgreSQL, with every commit synced, rather than on SQLite.
    pub postgres: bool,
    /// How many services there are.
    pub services: usize,
    /// How long each figure is measured for, each time; or for how long services beat.
    pub length: Duration,
    /// How often each figure is measured.
    pub rounds: usize,
    /// Over how many connections at a time.
    pub connections: Vec<usize>,
    /// How many watch.
    pub subscribers: usize,
    /// How many changes they are told of, or services that fall silent.
    pub changes: usize,
    /// How often services beat that nothing is to happen to.
    pub every: Duration,
    /// What services promise that fall silent.
    pub promises: Vec<Promise>,
}

/// What a service promises, and what is wanted then.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// What that is called.
    pub what: &'static str,
    /// How long it lives without a heartbeat, in seconds.
    pub ttl_seconds: u32,
    /// How often it beats.
    pub every: Duration,
    /// How soon everybody is to know that it died.
    pub wanted: Duration,
}

/// What services promise that say nothing else, and what those do that others shall not wait for.
const PROMISES: [Promise; 2] = [
    Promise { what: "default times", ttl_seconds: 15, every: Duration::from_secs(5), wanted: Duration::from_secs(16) },
    Promise { what: "tuned times", ttl_seconds: 3, every: Duration::from_secs(1), wanted: Duration::from_secs(5) },
];

impl Plan {
    /// 10,000 services, 1,000 subscribers, 5 s a figure and three times each.
    pub fn of(looma: PathBuf) -> Self {
        Self {
            looma,
            rnacos: None,
            postgres: false,
            services: 10_000,
            length: Duration::from_secs(5),
            rounds: 3,
            connections: vec![16, 64, 256],
            subscribers: 1000,
            changes: 30,
            every: Duration::from_secs(5),
            promises: PROMISES.to_vec(),
        }
    }

    /// What is to be said before any figure: which servers they are of.
    pub fn heading(&self) -> String {
        let database = if self.postgres { "PostgreSQL, each commit synced" } else { "SQLite, each commit synced" };
        let looma = format!("Looma: {} on {database}", self.looma.display());
        let rnacos = match &self.rnacos {
            Some(rnacos) => format!("r-nacos: {}, whose log is flushed and not synced", rnacos.display()),
            None => "r-nacos: not installed here, so not measured".to_owned(),
        };
        let debug = match is_optimised(&self.looma) {
            true => "",
            false => "\nTHE SERVER IS NO RELEASE BUILD: these figures say nothing of how fast it is",
        };
        format!("{looma}\n{rnacos}{debug}")
    }
}

/// Whether the binary lies where `cargo build --release` puts it, or somebody who installs it.
fn is_optimised(binary: &Path) -> bool {
    !binary.components().any(|part| part.as_os_str() == "debug")
}

/// Why there is no figure.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;
/// Figures in words, or why there are none.
pub type Outcome = Result<String, Failed>;

/// Lets this process, and those that it starts, have as many files open as the system allows.
pub fn open_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}
