//! The real host without a server: the same engines, limits and checks, one plugin at a time, with what it keeps in memory. Time
//! stands still at the start of 2026, so that the same case gives the same answer on every day.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;

use super::build;
use crate::{
    clock::{Clock, Timestamp},
    ids::Ids,
    plugins::{
        Kv, PluginName, PluginSettings, Plugins, Secrets, Source,
        admission::{Admission, Effort},
    },
    settings::{self, files},
    wasm::{
        compile::{CompileLimits, Compiler},
        engine::Slots,
        limits::Limits,
    },
};

/// Where plugins run that no server has.
pub struct Workbench {
    /// The plugins, of which there is one.
    pub plugins: Plugins,
    /// Secrets that cases set.
    pub secrets: Secrets,
    /// The time that stands still.
    pub now: Timestamp,
}

impl Workbench {
    /// Opens one that keeps what it compiles in `cache`.
    pub fn open(cache: &Path) -> anyhow::Result<Self> {
        files::make_private_folder(cache)?;
        let now = Timestamp::parse("2026-01-01T00:00:00Z").context("that is a time")?;
        let (clock, _) = Clock::manual(now);
        let own = settings::Plugins::default();
        let secrets = Secrets::default();
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let limits = CompileLimits { cpu: Duration::from_secs(own.compile_seconds), ..CompileLimits::default() };
        let plugins = Plugins::start(PluginSettings {
            cache: cache.to_owned(),
            fresh_key: Ids::new(clock.clone()).random(),
            compiler: Compiler::Child { exe: settings::this_executable()?, limits },
            clock,
            secrets: secrets.clone(),
            kv: Kv::default(),
            slots: Slots { pure: 16, io: 16 },
            threads: 2,
            memory_bytes: size(own.total_memory_bytes),
            max_bytes: size(own.max_component_bytes),
            limits: Limits {
                memory_bytes: size(own.memory_bytes),
                deadline: Duration::from_millis(own.deadline_ms),
                ..Limits::default()
            },
        })?;
        Ok(Self { plugins, secrets, now })
    }

    /// What a server with its defaults would say to a component.
    pub async fn admission(&self, wasm: &Arc<[u8]>) -> Admission {
        self.plugins.admission((wasm, None), None, Effort::Full).await
    }

    /// Makes a component ready to be called, under the name it gives itself.
    pub async fn load(&self, wasm: &Arc<[u8]>) -> anyhow::Result<PluginName> {
        let name = self.plugins.own_name(wasm).await.map_err(|error| anyhow::Error::msg(error.reason))?;
        self.plugins.load(&name, Arc::clone(wasm), Source::Upload).await?;
        Ok(name)
    }
}

/// The component in a file, or the one that the crate in a folder makes.
pub async fn component(what: &Path) -> anyhow::Result<Arc<[u8]>> {
    let file: PathBuf = match what.is_dir() {
        true => build::build_in_place(what).await?.file,
        false => what.to_owned(),
    };
    let wasm = std::fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
    Ok(wasm.into())
}
