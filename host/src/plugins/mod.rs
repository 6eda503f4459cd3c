//! Plugins: which there are, what each may do, and calls to them. Other domains hold a [`Plugins`] and nothing else from here.
//!
//! Read `types` and `grants`, then `slot` (what a name stands for), `load` (how a file becomes a version), `version` (how it
//! is called), `kinds` (what each kind is asked), `host_api` (what plugins may ask), and `keeper`, `watch`, `routes` (how
//! versions come in and are kept). This domain never decides what an answer means; whoever asked does.

mod bindings;
mod calls;
mod checking;
mod contract;
pub mod grants;
mod health;
mod host_api;
mod keeper;
mod kinds;
mod kv;
mod load;
mod queries;
mod routes;
mod slot;
mod trial;
pub mod types;
mod version;
mod watch;
mod worker;

#[cfg(test)]
mod swaps;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use tokio::sync::{broadcast, mpsc};

use crate::{
    clock::Clock,
    wasm::{
        cache::{Cache, Digest},
        call::Workers,
        compile::Compiler,
        engine::{Engines, Slots},
        limits::Limits,
    },
};

pub use calls::{Delivered, Discovered, Evaluated};
pub use host_api::Secrets;
pub use kinds::embedder::{Model, Subject};
pub use kinds::evaluator::{Batch as SeriesBatch, Context as EvalContext, Requirements, State as EvalState, Verdicts};
pub use kinds::matcher::{Candidate, Demand, Evidence, Explanation, Profile, Scored, Signals, Skill};
pub use kinds::notifier::{Alert, Notification, Receipt, Severity, Status};
pub use kinds::parser::{Certification, Draft, Education, Experience};
pub use kinds::strategy::{Health as TargetHealth, Page as TargetPage, Target};
pub use kv::Kv;
pub use load::LoadError;
pub(crate) use queries::{POSTGRES, STATEMENTS};
pub use routes::routes;
pub use types::{CallError, EarlierVersion, Kind, PluginInfo, PluginName, PluginRef, Problem, Source, State};
pub use worker::{load, open, scan_at_start, start};

use grants::Grants;
use host_api::{HttpClients, Services};
use load::Staged;
use slot::{Refused, Slot};

/// What the plugin domain needs to start.
pub struct PluginSettings {
    /// Folder of compiled components; the host's own.
    pub cache: PathBuf,
    /// Becomes the key of that folder when it has none yet.
    pub fresh_key: [u8; 32],
    /// Where components are compiled.
    pub compiler: Compiler,
    /// The clock.
    pub clock: Clock,
    /// Secrets that plugins may name.
    pub secrets: Secrets,
    /// Where plugins' keys are kept.
    pub kv: Kv,
    /// Instances alive at once.
    pub slots: Slots,
    /// Threads that pure plugins run on.
    pub threads: usize,
    /// Most bytes of a component.
    pub max_bytes: usize,
    /// The limits of an instance whose grants do not say.
    pub limits: Limits,
}

/// All plugins. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Plugins(Arc<Inner>);

struct Inner {
    engines: Engines,
    compiler: Compiler,
    cache: Arc<Cache>,
    max_bytes: usize,
    services: Arc<Services>,
    secrets: Secrets,
    slots: RwLock<BTreeMap<PluginName, Arc<Slot>>>,
    /// Configurations in use, by who uses them.
    in_use: Mutex<BTreeMap<String, (PluginName, String)>>,
    /// Versions that will serve as soon as the feed says so.
    pending: Mutex<BTreeMap<PluginName, Staged>>,
    /// What was seen in the plugin folder.
    seen: tokio::sync::Mutex<watch::Seen>,
    changes: broadcast::Sender<PluginName>,
    /// Plugins whose version the database knows and this replica does not.
    asked: mpsc::UnboundedSender<PluginName>,
    asks: Mutex<Option<mpsc::UnboundedReceiver<PluginName>>>,
}

impl Plugins {
    /// Starts with no plugin loaded.
    pub fn start(settings: PluginSettings) -> anyhow::Result<Self> {
        let PluginSettings {
            cache,
            fresh_key,
            compiler,
            clock,
            secrets,
            kv,
            slots,
            threads,
            max_bytes,
            limits: defaults,
        } = settings;
        let workers = Workers::start(threads.max(1), 4_096)?;
        let http = HttpClients::default();
        let (asked, asks) = mpsc::unbounded_channel();
        Ok(Self(Arc::new(Inner {
            engines: Engines::new(slots)?,
            compiler,
            cache: Arc::new(Cache::open(&cache, fresh_key)?),
            max_bytes,
            services: Arc::new(Services { clock, workers, defaults, secrets: secrets.clone(), kv, http }),
            secrets,
            slots: RwLock::default(),
            in_use: Mutex::default(),
            pending: Mutex::default(),
            seen: tokio::sync::Mutex::default(),
            changes: broadcast::channel(256).0,
            asked,
            asks: Mutex::new(Some(asks)),
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

    /// Secrets that plugins may name.
    pub fn secrets(&self) -> &Secrets {
        &self.0.secrets
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

    /// Puts grants in force, also before the plugin is there.
    pub fn set_grants(&self, name: &PluginName, grants: Grants) {
        self.slot_or_new(name).set_grants(Arc::new(grants));
    }

    /// Forgets a plugin and its earlier versions; calls under way finish.
    pub fn forget(&self, name: &PluginName) {
        let gone = self.slot(name);
        let grants = gone.map(|slot| slot.grants());
        self.0.slots.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        // Grants were given to the name, and stay with it.
        if let Some(grants) = grants {
            self.slot_or_new(name).set_grants(grants);
        }
    }

    /// Takes note of a file that is not taken.
    fn refuse(&self, name: &PluginName, wasm: &[u8], reason: &str, source: Source) {
        let error = types::cut(reason.to_owned());
        self.slot_or_new(name).refuse(Refused { digest: Digest::of(wasm), error, source });
    }

    /// Tells the name of each plugin whose state changed by itself.
    fn changes(&self) -> broadcast::Receiver<PluginName> {
        self.0.changes.subscribe()
    }

    fn slot(&self, name: &PluginName) -> Option<Arc<Slot>> {
        self.0.slots.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn slot_or_new(&self, name: &PluginName) -> Arc<Slot> {
        let mut slots = self.0.slots.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(name.clone()).or_insert_with(|| Arc::new(Slot::new(name.clone()))))
    }

    /// The digest of what serves.
    fn digest(&self, name: &PluginName) -> Option<String> {
        Some(self.slot(name)?.current()?.plugin.digest.clone())
    }

    fn configs_in_use(&self, name: &PluginName) -> Vec<(String, String)> {
        let in_use = self.0.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let own = in_use.iter().filter(|(_, (plugin, _))| plugin == name);
        own.map(|(owner, (_, config))| (owner.clone(), config.clone())).collect()
    }

    fn seen(&self) -> &tokio::sync::Mutex<watch::Seen> {
        &self.0.seen
    }

    /// Keeps a version until the feed says that it serves, or the guard is dropped.
    fn pend(&self, staged: Staged) -> Pending<'_> {
        let name = staged.plugin().name.clone();
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), staged);
        Pending { plugins: self, name }
    }

    fn pending(&self, name: &PluginName, digest: &str) -> Option<Staged> {
        let mut pending = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = pending.get(name).is_some_and(|staged| staged.plugin().digest == digest);
        if fits { pending.remove(name) } else { None }
    }

    fn ask_for(&self, name: PluginName) {
        // The receiver lives as long as the server's tasks.
        let _ = self.0.asked.send(name);
    }

    fn tell(&self, name: &PluginName) {
        // Nobody may be listening.
        let _ = self.0.changes.send(name.clone());
    }
}

/// A version that waits for its commit.
struct Pending<'a> {
    plugins: &'a Plugins,
    name: PluginName,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.plugins.0.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
