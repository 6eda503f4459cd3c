//! Sources: where services are found, and how what is found meets what is registered.
//!
//! A source is a discovery plugin with a configuration. A run asks the plugin for every page before anything is changed:
//! a run that fails, or ends half-way, takes nothing away. What a source found carries its name as origin; what registered
//! itself, or belongs to another source, is left as it is and told as a conflict: own registration wins over every source, also
//! over one that found the service before, and of two sources the one that has it keeps it. Runs of one source never overlap,
//! also over replicas. Read on in `types`, `queries`, `compare`, `pace` (when), `turn` (one at a time), `worker`, `routes`.

mod compare;
mod pace;
mod queries;
mod routes;
mod turn;
mod types;
mod worker;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use crate::{
    app::App,
    clock::Clock,
    db::AsConn,
    feed::{Change, Feed, Op},
    plugins::Plugins,
};

pub(crate) use queries::STATEMENTS;
pub use routes::routes;
pub use types::{Outcome, SOURCES, Source, SourceId};

/// The discovery sources. Clones share them.
#[derive(Clone, Default)]
pub struct Discovery {
    sources: Arc<RwLock<BTreeMap<SourceId, Arc<Source>>>>,
    /// Of each source, what is held while it runs on this replica.
    turns: Arc<Mutex<HashMap<SourceId, Arc<tokio::sync::Mutex<()>>>>>,
    pace: Arc<Mutex<pace::Pace>>,
}

impl Discovery {
    /// Keeps itself true from the feed, and tells `plugins` which configurations are in use.
    pub fn new(feed: &Feed, plugins: &Plugins) -> Self {
        let own = Self::default();
        let (kept, plugins) = (own.clone(), plugins.clone());
        feed.on(SOURCES, move |change| kept.apply(change, &plugins));
        own
    }

    fn apply(&self, change: &Change, plugins: &Plugins) {
        let id = SourceId::from(change.key.as_str());
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        match (change.op, change.read::<Source>()) {
            (Op::Put, Some(source)) => {
                in_use(plugins, &source);
                sources.insert(id, Arc::new(source));
            }
            _ => {
                plugins.note_use(&format!("source:{id}"), None);
                sources.remove(&id);
                self.turns.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                self.pace.lock().unwrap_or_else(PoisonError::into_inner).forget(&id);
            }
        }
    }

    /// Every source, by key.
    fn all(&self) -> Vec<Arc<Source>> {
        self.sources.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// A source, by id or by name.
    fn find(&self, id_or_name: &str) -> Option<Arc<Source>> {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        let by_name = || sources.values().find(|source| source.name == id_or_name);
        sources.get(id_or_name).or_else(by_name).cloned()
    }

    /// The sources whose time has come.
    fn due(&self, clock: &Clock) -> Vec<Arc<Source>> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        self.all().into_iter().filter(|source| pace.is_due(source, clock)).collect()
    }

    /// Takes note of a run that has just ended.
    fn saw_run(&self, source: &Source, clock: &Clock) {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner).see(source, clock);
    }

    /// A source by its name alone.
    fn find_named(&self, name: &str) -> Option<Arc<Source>> {
        self.all().into_iter().find(|source| source.name == name)
    }
}

fn in_use(plugins: &Plugins, source: &Source) {
    let used = Some((source.strategy.as_str(), source.config_text()));
    plugins.note_use(&format!("source:{}", source.source_id), used);
}

/// Fills memory from the database, as `on` sees it.
pub async fn load(on: &mut dyn AsConn, own: &Discovery, plugins: &Plugins) -> anyhow::Result<()> {
    let all = queries::all(on).await?;
    all.iter().for_each(|source| in_use(plugins, source));
    let by_key = all.into_iter().map(|source| (source.source_id.clone(), Arc::new(source))).collect();
    *own.sources.write().unwrap_or_else(PoisonError::into_inner) = by_key;
    Ok(())
}

/// Starts what it does by itself.
pub fn start(app: &App) {
    let own = app.clone();
    app.tasks.every("discovery.run", Duration::from_secs(1), move || {
        let app = own.clone();
        async move { worker::run_due(&app).await }
    });
}
