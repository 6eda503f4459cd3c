//! Plugins: which there are, what each may do, and calls to them. Other domains hold a [`Plugins`] and nothing else from here.
//!
//! Read `types` and `grants`, then `slot` (what a name stands for), `load` (how a file becomes a version), `version` (how it
//! is called), `kinds` (what each kind is asked) and `host_api` (what plugins may ask). This domain never decides what an
//! answer means; whoever asked does.

mod bindings;
mod calls;
mod contract;
pub mod grants;
mod health;
mod host_api;
mod kinds;
mod load;
mod slot;
pub mod types;
mod version;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::broadcast;

use crate::wasm::cache::Cache;
use crate::wasm::call::Workers;
use crate::wasm::compile::Compiler;
use crate::wasm::engine::{Engines, Slots};

pub use calls::{Delivered, Discovered, Evaluated};
pub use host_api::{Kv, Now, Secrets};
pub use kinds::embedder::{Model, Subject};
pub use kinds::evaluator::{Batch as SeriesBatch, Context as EvalContext, Requirements, State as EvalState, Verdicts};
pub use kinds::matcher::{Candidate, Demand, Evidence, Explanation, Profile, Scored, Signals, Skill};
pub use kinds::notifier::{Alert, Notification, Receipt, Severity, Status};
pub use kinds::parser::{Certification, Draft, Education, Experience};
pub use kinds::strategy::{Health as TargetHealth, Page as TargetPage, Target};
pub use load::LoadError;
pub use types::{CallError, EarlierVersion, Kind, PluginInfo, PluginName, PluginRef, Problem, Source, State};

use grants::Grants;
use host_api::{HttpClients, Services};
use slot::Slot;

/// What the plugin domain needs to start.
pub struct PluginSettings {
    /// folder of compiled components; the host's own
    pub cache: PathBuf,
    /// becomes the key of that folder when it has none yet
    pub fresh_key: [u8; 32],
    /// where components are compiled
    pub compiler: Compiler,
    /// the clock
    pub now: Now,
    /// secrets that plugins may name
    pub secrets: Secrets,
    /// where plugins' keys are kept
    pub kv: Kv,
    /// instances alive at once
    pub slots: Slots,
}

/// All plugins. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Plugins(Arc<Inner>);

struct Inner {
    engines: Engines,
    compiler: Compiler,
    cache: Arc<Cache>,
    workers: Workers,
    services: Arc<Services>,
    slots: RwLock<BTreeMap<PluginName, Arc<Slot>>>,
    /// Configurations in use, by who uses them.
    in_use: Mutex<BTreeMap<String, (PluginName, String)>>,
    changes: broadcast::Sender<PluginName>,
}

impl Plugins {
    /// Starts with no plugin loaded.
    pub fn start(settings: PluginSettings) -> anyhow::Result<Self> {
        let PluginSettings { cache, fresh_key, compiler, now, secrets, kv, slots } = settings;
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Self(Arc::new(Inner {
            engines: Engines::new(slots)?,
            compiler,
            cache: Arc::new(Cache::open(&cache, fresh_key)?),
            workers: Workers::start((threads * 4).max(8), 4_096)?,
            services: Arc::new(Services { now, secrets, kv, http: HttpClients::default() }),
            slots: RwLock::default(),
            in_use: Mutex::default(),
            changes: broadcast::channel(256).0,
        })))
    }

    /// All plugins, by name.
    pub fn list(&self) -> Vec<PluginInfo> {
        let slots: Vec<Arc<Slot>> =
            self.0.slots.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        slots.iter().filter_map(|slot| slot.info()).collect()
    }

    /// One plugin.
    pub fn get(&self, name: &PluginName) -> Option<PluginInfo> {
        self.slot(name)?.info()
    }

    /// The kind of a plugin, when a version of it has loaded.
    pub fn kind_of(&self, name: &PluginName) -> Option<Kind> {
        Some(self.slot(name)?.current()?.version.kind())
    }

    /// Tells the name of each plugin whose version or state changes. Who falls behind reads `list` anew.
    pub fn changes(&self) -> broadcast::Receiver<PluginName> {
        self.0.changes.subscribe()
    }

    /// Says that `owner` uses a configuration, so that no version comes in that refuses it. `owner` is unique, as `channel:ops`.
    pub fn use_config(&self, owner: &str, plugin: &PluginName, config: &str) {
        let mut in_use = self.0.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.insert(owner.to_owned(), (plugin.clone(), config.to_owned()));
    }

    /// Says that `owner` uses no configuration any more.
    pub fn forget_config(&self, owner: &str) {
        self.0.in_use.lock().unwrap_or_else(PoisonError::into_inner).remove(owner);
    }

    /// Goes back to the version before. `None` when there is no plugin or no earlier version.
    pub fn roll_back(&self, name: &PluginName) -> Option<PluginInfo> {
        let slot = self.slot(name)?;
        slot.roll_back()?;
        self.tell(name);
        slot.info()
    }

    /// Lets calls through again, out of a quarantine too.
    pub fn enable(&self, name: &PluginName) -> Option<PluginInfo> {
        let slot = self.slot(name)?;
        slot.enable();
        self.tell(name);
        slot.info()
    }

    /// Lets no calls through.
    pub fn disable(&self, name: &PluginName) -> Option<PluginInfo> {
        let slot = self.slot(name)?;
        slot.disable();
        self.tell(name);
        slot.info()
    }

    /// Puts grants in force, also before the plugin is there.
    pub fn set_grants(&self, name: &PluginName, grants: Grants) {
        self.slot_or_new(name).set_grants(Arc::new(grants));
        self.tell(name);
    }

    /// Forgets a plugin and its earlier versions; calls under way finish.
    pub fn remove(&self, name: &PluginName) -> Option<PluginInfo> {
        let slot = self.0.slots.write().unwrap_or_else(PoisonError::into_inner).remove(name)?;
        self.tell(name);
        slot.info()
    }

    fn slot(&self, name: &PluginName) -> Option<Arc<Slot>> {
        self.0.slots.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn slot_or_new(&self, name: &PluginName) -> Arc<Slot> {
        let mut slots = self.0.slots.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(name.clone()).or_insert_with(|| Arc::new(Slot::new(name.clone()))))
    }

    fn configs_in_use(&self, name: &PluginName) -> Vec<(String, String)> {
        let in_use = self.0.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let own = in_use.iter().filter(|(_, (plugin, _))| plugin == name);
        own.map(|(owner, (_, config))| (owner.clone(), config.clone())).collect()
    }

    fn tell(&self, name: &PluginName) {
        // Nobody may be listening.
        let _ = self.0.changes.send(name.clone());
    }
}

#[cfg(test)]
mod tests;
