//! Plugins: which there are, what each may do, and calls to them. Other domains hold a [`Plugins`] and nothing else from here.
//!
//! Read `types` and `grants`, then `slot` (what a name stands for), `load` (how a file becomes a version) and `refusal` (why not),
//! `version` (how it is called), `share` (how much at once), `stats` (how it went) and `health` (what follows), `rollout` (how a new
//! version comes in step by step), `kinds` (what each kind is asked), `said` (what its answers may not carry), `host_api` (what plugins
//! may ask), `signing` (whose files are taken), `keeper`, `watch`, `routes` (how versions come in and are kept), `admission` (what the
//! host says to a file) and `records` (calls that are kept). This domain never decides what an answer means; whoever asked does.

pub mod admission;
mod bindings;
mod calls;
mod checking;
mod contract;
pub mod grants;
mod health;
mod host_api;
mod judging;
mod keeper;
mod kinds;
mod kv;
mod load;
mod mailer;
mod outside;
mod queries;
pub mod records;
mod refusal;
mod report;
pub mod rollout;
mod routes;
mod said;
mod share;
pub mod signing;
mod slot;
pub mod stats;
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
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock},
};

use tokio::sync::{Semaphore, mpsc};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::App,
    clock::Clock,
    wasm::{
        cache::Cache,
        compile::Compiler,
        engine::{Engines, Slots},
        limits::{Budget, Limits},
        reactor::Reactor,
        workers::{Threads, Workers},
    },
};

pub use crate::secrets::Secrets;
pub use calls::{Delivered, Discovered, Evaluated};
pub use kinds::embedder::{Model, Subject};
pub use kinds::evaluator::{Batch as SeriesBatch, Context as EvalContext, Requirements, State as EvalState, Verdicts};
pub use kinds::matcher::{Candidate, Demand, Evidence, Explanation, Profile, Scored, Signals, Skill};
pub use kinds::notifier::{Alert, Notification, Receipt, Severity, Status};
pub use kinds::parser::{Certification, Draft, Education, Experience};
pub use kinds::strategy::{Health as TargetHealth, Page as TargetPage, Target};
pub use kv::Kv;
pub use load::LoadError;
pub(crate) use queries::{POSTGRES, STATEMENTS};
pub(crate) use records::STATEMENTS as RECORD_STATEMENTS;
pub use refusal::Blame;
pub(crate) use rollout::STATEMENTS as ROLLOUT_STATEMENTS;
pub use rollout::{Judged, Judging, Keeping, Memory, Sample};
pub use types::{CallError, EarlierVersion, Kind, PluginInfo, PluginName, PluginRef, Problem, Source, State};
pub use worker::{Opening, load, open, scan_at_start, start};

use calls::Purpose;
use grants::Grants;
use host_api::{HttpClients, Pools, Services};
use load::Staged;
use outside::Outside;
use signing::Trust;
use slot::{Slot, Turn};
use version::Own;

/// The routes of plugins.
pub fn routes() -> OpenApiRouter<App> {
    routes::routes().merge(admission::routes())
}

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
    /// Threads that pure plugins run on; there are more while others hold them.
    pub threads: usize,
    /// The memory that all instances may have together.
    pub memory_bytes: usize,
    /// Most bytes of a component.
    pub max_bytes: usize,
    /// The limits of an instance whose grants do not say.
    pub limits: Limits,
}

/// All plugins. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Plugins(Arc<Inner>, Purpose);

struct Inner {
    engines: Engines,
    compiler: Compiler,
    cache: Arc<Cache>,
    max_bytes: usize,
    services: Arc<Services>,
    secrets: Secrets,
    trust: Trust,
    slots: RwLock<BTreeMap<PluginName, Arc<Slot>>>,
    threads: usize,
    /// What files have in common that have not said yet who they are.
    unnamed: Own,
    /// Configurations in use, by who uses them.
    in_use: Mutex<BTreeMap<String, (PluginName, String)>>,
    /// Versions that will serve as soon as the feed says so.
    pending: Mutex<BTreeMap<PluginName, Staged>>,
    /// Calls that are to be kept.
    records: records::Queue,
    /// What was seen in the plugin folder.
    seen: tokio::sync::Mutex<watch::Seen>,
    /// What is to be done that no caller waits for.
    wishes: mpsc::UnboundedSender<Wish>,
    wished: Mutex<Option<mpsc::UnboundedReceiver<Wish>>>,
    /// Calls beside live ones.
    lane: rollout::Lane,
    /// Where samples of what evaluators remember come from.
    samples: OnceLock<rollout::Samples>,
}

/// What is to be done for a plugin, again and again until it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    /// Get ready the versions that the database knows and this replica does not.
    Follow(PluginName),
    /// Write down what became of it by itself.
    Note(PluginName, Turn),
}

impl Plugins {
    /// Starts with no plugin loaded, with no mail server and no key that is trusted.
    pub fn start(settings: PluginSettings) -> anyhow::Result<Self> {
        let outside = Outside::none(&settings.clock);
        Self::start_with(settings, outside)
    }

    /// Starts with no plugin loaded.
    fn start_with(settings: PluginSettings, outside: Outside) -> anyhow::Result<Self> {
        let PluginSettings {
            cache,
            fresh_key,
            compiler,
            clock,
            secrets,
            kv,
            slots,
            threads,
            memory_bytes,
            max_bytes,
            limits: defaults,
        } = settings;
        let engines = Engines::new(slots)?;
        let Outside { trust, mail, names } = outside;
        // Instances that wait and instances that run have a half of the places each: neither keeps the other out.
        let half = (slots.pure / 2).max(1) as usize;
        let services = Services {
            clock,
            workers: Workers::start(Threads { steady: threads, most: half }, 4_096)?,
            reactor: Reactor::start()?,
            home: tokio::runtime::Handle::try_current()?,
            pulse: engines.pulse().clone(),
            budget: Budget::new(memory_bytes),
            kept: Arc::new(Semaphore::new(half)),
            defaults,
            secrets: secrets.clone(),
            kv,
            http: HttpClients::default(),
            pools: Pools::default(),
            mail,
            names,
        };
        let unnamed = Own::new("unnamed".to_owned().try_into().map_err(anyhow::Error::msg)?, threads);
        let (wishes, wished) = mpsc::unbounded_channel();
        let inner = Inner {
            engines,
            compiler,
            cache: Arc::new(Cache::open(&cache, fresh_key)?),
            max_bytes,
            services: Arc::new(services),
            secrets,
            trust,
            slots: RwLock::default(),
            threads,
            unnamed,
            in_use: Mutex::default(),
            pending: Mutex::default(),
            records: records::Queue::default(),
            seen: tokio::sync::Mutex::default(),
            wishes,
            wished: Mutex::new(Some(wished)),
            lane: rollout::Lane::default(),
            samples: OnceLock::new(),
        };
        Ok(Self(Arc::new(inner), Purpose::Service))
    }

    /// All plugins, by name.
    pub fn list(&self) -> Vec<PluginInfo> {
        self.slots().iter().filter_map(|slot| slot.info()).collect()
    }

    /// What is the matter with each plugin, and why.
    pub fn states(&self) -> Vec<(PluginName, State, Option<String>)> {
        let state = |slot: &Arc<Slot>| slot.state().map(|(state, error)| (slot.name.clone(), state, error));
        self.slots().iter().filter_map(state).collect()
    }

    /// One plugin.
    pub fn get(&self, name: &PluginName) -> Option<PluginInfo> {
        self.slot(name)?.info()
    }

    /// The kind of a plugin, when a version of it has loaded.
    pub fn kind_of(&self, name: &PluginName) -> Option<Kind> {
        Some(self.slot(name)?.current()?.version.kind())
    }

    /// Calls under way on the version that serves.
    pub fn calls_under_way(&self, name: &PluginName) -> usize {
        self.slot(name).and_then(|slot| slot.current()).map_or(0, |current| current.version.life().calls())
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

    /// Plugins whose file of the folder is worth another try now.
    fn due_again(&self) -> Vec<PluginName> {
        let now = self.0.services.clock.uptime();
        let due = |slot: &Arc<Slot>| slot.refused().is_some_and(|refused| refused.is_due(now));
        self.slots().iter().filter(|slot| due(slot)).map(|slot| slot.name.clone()).collect()
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.0.slots.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn slot(&self, name: &PluginName) -> Option<Arc<Slot>> {
        self.0.slots.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn slot_or_new(&self, name: &PluginName) -> Arc<Slot> {
        let mut slots = self.0.slots.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Slot::new(Own::new(name.clone(), self.0.threads)));
        Arc::clone(slots.entry(name.clone()).or_insert_with(new))
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
        self.wish(Wish::Follow(name));
    }

    fn tell(&self, name: &PluginName, turn: Turn) {
        self.wish(Wish::Note(name.clone(), turn));
    }

    fn wish(&self, wish: Wish) {
        // The receiver lives as long as the server's tasks; without them nobody listens.
        let _ = self.0.wishes.send(wish);
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
