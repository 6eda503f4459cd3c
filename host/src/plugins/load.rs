//! How a file becomes a version that can serve: look at it, compile it (or take it from the cache), ask it who it is, hold it
//! against the configurations in use. Putting it in service is a step of its own, taken when the database knows of it.
//!
//! Whatever fails on the way is told in words, and the version before serves on.

use std::{sync::Arc, time::Instant};

use tokio::sync::OwnedMutexGuard;

use super::{
    Plugins,
    contract::CONTRACT,
    grants::Grants,
    kinds::lifecycle,
    refusal::{Blame, FileId, Refused, Why},
    slot::{Release, Slot},
    types::{CallError, Kind, PluginInfo, PluginName, PluginRef, Source, cut},
    version::{Own, Version},
};
use crate::{
    clock::Timestamp,
    wasm::{
        cache::Digest,
        compile::{self, Compiled},
        inspect::{Contract, inspect},
    },
};

/// Why a file was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not load plugin {name:?}: {reason}")]
pub struct LoadError {
    /// The plugin.
    pub name: PluginName,
    /// Why, in words.
    pub reason: String,
    /// Whose fault it is.
    pub blame: Blame,
}

const WHO: &str = "it does not say who it is";

/// A file on its way in.
pub(super) struct File {
    pub(super) wasm: Arc<[u8]>,
    pub(super) source: Source,
    /// When it comes, or came, into service.
    pub(super) loaded_at: Timestamp,
    /// The signature that came beside it.
    pub(super) signature: Option<String>,
    /// Of its bytes.
    pub(super) digest: Digest,
}

impl File {
    pub(super) fn new(wasm: Arc<[u8]>, source: Source, loaded_at: Timestamp, signature: Option<String>) -> Self {
        let digest = Digest::of(&wasm);
        Self { wasm, source, loaded_at, signature, digest }
    }

    pub(super) fn id(&self) -> FileId {
        FileId { digest: self.digest, signature: self.signature.clone() }
    }
}

/// A version that is ready to serve. While it is there, no other file is loaded for its name.
pub(super) struct Staged {
    slot: Arc<Slot>,
    release: Arc<Release>,
    _turn: OwnedMutexGuard<()>,
}

/// What came of a file.
pub(super) enum Stage {
    /// It is the one that serves.
    Serving(PluginRef),
    /// It can serve.
    Ready(Staged),
}

impl Staged {
    pub(super) fn plugin(&self) -> &PluginRef {
        &self.release.plugin
    }

    pub(super) fn kind(&self) -> Kind {
        self.release.version.kind()
    }

    pub(super) fn release(&self) -> &Arc<Release> {
        &self.release
    }

    pub(super) fn source(&self) -> Source {
        self.release.source
    }

    /// The signature that came beside it.
    pub(super) fn signature(&self) -> Option<&str> {
        self.release.signature.as_deref()
    }

    /// The plugin as people will see it.
    pub(super) fn info(&self) -> Option<PluginInfo> {
        self.slot.info_with(&self.release)
    }

    /// Puts it in service.
    pub(super) fn serve(self) {
        let PluginRef { name, version, digest } = &self.release.plugin;
        tracing::info!(plugin.name = %name, plugin.version = version, plugin.digest = digest, "plugin {name} serves");
        self.slot.swap(&self.release);
    }
}

impl Plugins {
    /// Takes a file for `name` and puts it in service at once. A server uses `keeper::take`, so that the file outlives it.
    pub async fn load(&self, name: &PluginName, wasm: Arc<[u8]>, source: Source) -> Result<PluginRef, LoadError> {
        let file = File::new(wasm, source, self.0.services.clock.now(), None);
        match self.stage(name, file).await? {
            Stage::Serving(plugin) => Ok(plugin),
            Stage::Ready(staged) => {
                let plugin = staged.plugin().clone();
                staged.serve();
                Ok(plugin)
            }
        }
    }

    /// Makes a file ready to serve. When it is not taken, that is recorded for a file of the folder.
    pub(super) async fn stage(&self, name: &PluginName, file: File) -> Result<Stage, LoadError> {
        let slot = self.slot_or_new(name);
        let turn = Arc::clone(&slot.loading).lock_owned().await;
        let (id, source) = (file.id(), file.source);
        let FileId { digest, signature } = id.clone();
        let current = slot.current().filter(|current| current.digest == digest);
        if let Some(current) = &current
            && (signature.is_none() || signature == current.signature)
        {
            slot.clear_refusal();
            return Ok(Stage::Serving(current.plugin.clone()));
        }
        if let Some(error) = self.remembered(&slot, &id, source) {
            return Err(error);
        }
        let began = Instant::now();
        let made = match current {
            // What serves was signed by now.
            Some(current) => self.signer(&file.wasm, signature.as_deref()).map(|by| current.signed(signature, by)),
            None => self.release(&slot, file).await,
        };
        match made {
            Ok(release) => {
                slot.own.stats.loaded(began.elapsed());
                Ok(Stage::Ready(Staged { slot, release: Arc::new(release), _turn: turn }))
            }
            Err(Why { reason, blame }) => {
                let reason = cut(self.0.secrets.mask(reason));
                tracing::warn!(plugin.name = %name, plugin.digest = %digest, ?blame, reason, "plugin {name} was not taken");
                let error = LoadError { name: name.clone(), reason, blame };
                if source == Source::Folder {
                    self.refuse(id, &error, source);
                }
                Err(error)
            }
        }
    }

    /// Why this very file of the folder is known not to be worth a try now.
    fn remembered(&self, slot: &Slot, file: &FileId, source: Source) -> Option<LoadError> {
        let now = self.0.services.clock.uptime();
        let known = slot.refused().filter(|known| source == Source::Folder && known.holds(file, now))?;
        let blame = known.again_at.map_or(Blame::File, |_| Blame::Host);
        Some(LoadError { name: slot.name.clone(), reason: known.error, blame })
    }

    /// Takes note of a file that is not taken.
    pub(super) fn refuse(&self, file: FileId, error: &LoadError, source: Source) {
        let LoadError { name, reason, blame } = error;
        let slot = self.slot_or_new(name);
        let why = Why::new(*blame, cut(reason.clone()));
        let now = self.0.services.clock.uptime();
        slot.refuse(Refused::new(file, why, source, slot.refused().as_ref(), now));
    }

    /// Makes the version before ready to serve again, when this process has it.
    pub(super) async fn stage_again(&self, slot: &Arc<Slot>, release: &Release) -> Staged {
        let turn = Arc::clone(&slot.loading).lock_owned().await;
        let release = Arc::new(release.again(self.0.services.clock.now()));
        Staged { slot: Arc::clone(slot), release, _turn: turn }
    }

    /// Who signed a component, or why it is not taken. Nothing of it may be run before.
    pub(super) fn signer(&self, wasm: &[u8], signature: Option<&str>) -> Result<Option<String>, Why> {
        self.0.trust.check(wasm, signature).map_err(|reason| Why::new(Blame::File, reason))
    }

    /// Whose file this is: what it says of itself.
    pub(super) async fn name_of(&self, wasm: &Arc<[u8]>) -> Result<PluginName, LoadError> {
        let unnamed = &self.0.unnamed;
        let named = async {
            let version = self.version(unnamed, wasm, &Arc::new(Grants::default())).await?;
            let name = lifecycle::name(&version).await;
            let name = name.map_err(|error| Why::call(version.kind(), WHO, &error))?;
            name.parse().map_err(|why: String| Why::new(Blame::File, why))
        };
        let error = |Why { reason, blame }| LoadError { name: unnamed.name.clone(), reason: cut(reason), blame };
        named.await.map_err(error)
    }

    async fn release(&self, slot: &Slot, file: File) -> Result<Release, Why> {
        let name = &slot.name;
        let File { wasm, source, loaded_at, signature, digest } = file;
        let signed_by = self.signer(&wasm, signature.as_deref())?;
        let kind = self.kind_in(&wasm)?;
        let elsewhere = |reason| Why::new(Blame::Use, reason);
        if let Some(is) = slot.current().map(|current| current.version.kind()).filter(|is| *is != kind) {
            return Err(elsewhere(format!(
                "it is a {kind}, and the version that serves is a {is}; remove that one first"
            )));
        }
        let version = self.version(&slot.own, &wasm, &slot.grants()).await?;
        // It is asked beside the version that serves, and does not wait for it: that one may be what it is to put an end to.
        let asked = version.apart();
        let descriptor = lifecycle::describe(&asked).await;
        let descriptor = descriptor.map_err(|error| Why::call(kind, WHO, &error))?;
        self.check_in_use(&asked).await?;
        let plugin = PluginRef { name: name.clone(), version: descriptor.version.clone(), digest: digest.to_string() };
        Ok(Release {
            version,
            plugin,
            digest,
            descriptor,
            loaded_at,
            source,
            signature,
            signed_by,
            tally: Arc::default(),
        })
    }

    fn kind_in(&self, wasm: &[u8]) -> Result<Kind, Why> {
        let contract = Contract { max_bytes: self.0.max_bytes, ..CONTRACT };
        let found = inspect(wasm, &contract).map_err(|reason| Why::new(Blame::File, reason))?;
        Ok(Kind::ALL[found.world])
    }

    pub(super) async fn version(&self, own: &Own, wasm: &Arc<[u8]>, grants: &Arc<Grants>) -> Result<Version, Why> {
        let kind = self.kind_in(wasm)?;
        let engine = if kind.is_pure() { self.0.engines.pure() } else { self.0.engines.io() };
        let Compiled { component, took } = compile::component(&self.0.compiler, &self.0.cache, engine, wasm).await?;
        if let Some(took) = took {
            own.stats.compiled(took);
        }
        Version::link(own, kind, &component, grants, &self.0.services)
            .map_err(|error| Why::new(Blame::File, format!("it does not fit the host: {error:#}")))
    }

    pub(super) async fn check_in_use(&self, version: &Version) -> Result<(), Why> {
        for (owner, config) in self.configs_in_use(version.name()) {
            let problems = lifecycle::check(version, &config).await;
            let what = format!("it cannot check the configuration of {owner}");
            let problems = problems.map_err(|error| Why::call(version.kind(), &what, &error))?;
            if !problems.is_empty() {
                let problems = CallError::InvalidConfig(problems);
                return Err(Why::new(Blame::Use, format!("it refuses the configuration of {owner}: {problems}")));
            }
        }
        Ok(())
    }
}
