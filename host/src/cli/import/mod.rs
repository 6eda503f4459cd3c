//! `looma import`: takes over what other systems had. Read on in `legacy` (the command), `dump` (the file), `services` and
//! `samples` (its rows), `report`.

mod dump;
mod legacy;
mod report;
mod samples;
mod services;

use clap::Subcommand;

/// What to take over.
#[derive(Subcommand)]
pub enum Import {
    /// Takes over what the old manager had in memory, from a JSON dump of it.
    Legacy(legacy::Legacy),
}

impl Import {
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Legacy(legacy) => legacy.run(),
        }
    }
}
