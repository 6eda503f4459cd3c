//! Where the author's kit keeps what it compiled: for the subcommands that run plugins without a server.

use std::path::PathBuf;

use anyhow::Context as _;

/// The kit's own folder.
#[derive(Clone, Debug, clap::Args)]
pub struct Kit {
    /// Where compiled components are kept, so that each is compiled once; `looma` in the user's cache folder when absent.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl Kit {
    /// The folder, which may not be there yet. Nobody else may write there: what lies in it is run.
    #[expect(clippy::disallowed_methods, reason = "the environment is read here")]
    pub fn cache(&self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = &self.cache {
            return Ok(folder.clone());
        }
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        let caches =
            caches.context("there is no cache folder of this user (HOME is not set): name one with --cache")?;
        Ok(caches.join("looma"))
    }
}
