//! `looma plugin …`: looking at plugins, the author's kit, and what a server does with plugins. A file a few subcommands.

mod author;
mod bench;
mod build;
mod remote;
mod replay;

use super::{list, serve, signing};

/// What `looma plugin` does.
#[derive(clap::Subcommand)]
pub enum Plugin {
    #[command(flatten)]
    Look(list::Look),
    #[command(flatten)]
    Signing(signing::Signing),
    /// Begins a plugin: a project of its own that builds.
    New(author::New),
    /// Makes components of plugin crates.
    Build(build::Build),
    /// Says whether a server would take a component, why, and what to do.
    Check(author::Check),
    /// Runs the cases of a plugin, written in YAML, on the real host.
    Test(author::Test),
    /// Says how long a plugin takes.
    Bench(bench::Bench),
    /// Sends a component to a server, where it serves at once.
    Install(remote::Install),
    /// Goes back to the version before.
    Rollback(remote::Named),
    /// Lets calls through again, out of a quarantine too.
    Enable(remote::Named),
    /// Lets no calls through.
    Disable(remote::Named),
    /// Runs a version on what a rule kept of its calls, and tells what it says differently.
    Replay(replay::Replay),
}

impl Plugin {
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Look(look) => look.run(list::PLUGINS),
            Self::Signing(signing) => signing.run(),
            Self::New(new) => new.run(),
            Self::Build(build) => run(build.run()),
            Self::Check(check) => run(check.run()),
            Self::Test(test) => run(test.run()),
            Self::Bench(bench) => run(bench.run()),
            Self::Install(install) => run(install.run()),
            Self::Rollback(named) => run(named.run("rollback")),
            Self::Enable(named) => run(named.run("enable")),
            Self::Disable(named) => run(named.run("disable")),
            Self::Replay(replay) => run(replay.run()),
        }
    }
}

fn run(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    serve::start_quiet_logs();
    serve::runtime()?.block_on(work)
}
