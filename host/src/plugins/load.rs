//! How a file becomes a version that serves: look at it, compile it (or take it from the cache), ask it who it is, hold it against
//! the configurations in use, swap. Whatever fails on the way is recorded, in words, and the version before serves on.

use std::sync::Arc;

use crate::wasm::cache::Digest;
use crate::wasm::compile;
use crate::wasm::inspect::inspect;

use super::Plugins;
use super::contract::CONTRACT;
use super::kinds::lifecycle;
use super::slot::{Refused, Release, Slot};
use super::types::{CallError, Kind, PluginName, PluginRef, Source, cut};
use super::version::Version;

/// Why a file was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not load plugin {name:?}: {reason}")]
pub struct LoadError {
    /// the plugin
    pub name: PluginName,
    /// why, in words
    pub reason: String,
}

impl Plugins {
    /// Takes a file for `name`. When it is the one that serves, nothing happens.
    pub async fn load(&self, name: &PluginName, wasm: Arc<[u8]>, source: Source) -> Result<PluginRef, LoadError> {
        let slot = self.slot_or_new(name);
        let _one_at_a_time = slot.loading.lock().await;
        let digest = Digest::of(&wasm);
        if let Some(current) = slot.current()
            && (current.digest == digest || (source == Source::Folder && slot.has_left(digest)))
        {
            if current.digest == digest && slot.clear_refusal() {
                self.tell(name);
            }
            return Ok(current.plugin.clone());
        }
        if let Some(reason) = slot.refusal(digest) {
            return Err(LoadError { name: name.clone(), reason });
        }
        let taken = self.stage(&slot, wasm, digest, source).await;
        let answer = match taken {
            Ok(release) => {
                let plugin = release.plugin.clone();
                tracing::info!(plugin.name = %name, plugin.version = plugin.version, plugin.digest = plugin.digest, "plugin loaded");
                slot.swap(release);
                Ok(plugin)
            }
            Err(reason) => {
                let reason = cut(reason);
                tracing::warn!(plugin.name = %name, plugin.digest = %digest, reason, "plugin not loaded");
                slot.refuse(Refused { digest, error: reason.clone(), source });
                Err(LoadError { name: name.clone(), reason })
            }
        };
        self.tell(name);
        answer
    }

    /// Takes note of a file that could not even be read.
    pub fn refuse(&self, name: &PluginName, wasm: &[u8], reason: &str, source: Source) {
        self.slot_or_new(name).refuse(Refused { digest: Digest::of(wasm), error: cut(reason.to_owned()), source });
        self.tell(name);
    }

    async fn stage(&self, slot: &Slot, wasm: Arc<[u8]>, digest: Digest, source: Source) -> Result<Release, String> {
        let name = &slot.name;
        let found = inspect(&wasm, &CONTRACT)?;
        let kind = Kind::ALL[found.world];
        if let Some(current) = slot.current()
            && current.version.kind() != kind
        {
            let is = current.version.kind();
            return Err(format!("it is a {kind}, and the version that serves is a {is}; remove that one first"));
        }
        let engine = if kind.is_pure() { self.0.engines.pure() } else { self.0.engines.io() };
        let component = compile::component(&self.0.compiler, &self.0.cache, engine, &wasm).await;
        let component = component.map_err(|error| error.to_string())?;
        let (services, workers) = (&self.0.services, &self.0.workers);
        let version = Version::link(name, kind, engine, &component, &slot.grants(), services, workers)
            .map_err(|error| format!("it does not fit the host: {error:#}"))?;
        let descriptor =
            lifecycle::describe(&version).await.map_err(|error| format!("it does not say who it is: {error}"))?;
        self.check_in_use(&version).await?;
        Ok(Release {
            plugin: PluginRef { name: name.clone(), version: descriptor.version.clone(), digest: digest.to_string() },
            digest,
            version,
            descriptor,
            loaded_at_ms: (self.0.services.now)(),
            source,
        })
    }

    async fn check_in_use(&self, version: &Version) -> Result<(), String> {
        for (owner, config) in self.configs_in_use(version.name()) {
            let problems = lifecycle::check(version, &config).await;
            let problems =
                problems.map_err(|error| format!("it cannot check the configuration of {owner}: {error}"))?;
            if !problems.is_empty() {
                return Err(format!("it refuses the configuration of {owner}: {}", CallError::InvalidConfig(problems)));
            }
        }
        Ok(())
    }
}
