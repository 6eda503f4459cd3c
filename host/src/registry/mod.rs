//! Services and nodes: who is there, and whether it lives.
//!
//! Lookups are answered from memory. A change is durable, and on the feed, before it is acknowledged; a heartbeat is a
//! touch in memory that the database learns of within a second. Nothing here expires by the wall clock, and nobody within
//! one time-to-live of a start, or of a pause of the process.
//!
//! Read on in `services` and `nodes` (what they are), `lease`, `wheel` (expiry), `index` (memory), `beats` (who is known and
//! heard of), `writer` (group commit), `worker` and `share` (what happens by itself, and how much of it at once), `restore` and
//! `removal` (what comes back, what goes for good), `checks` (asking services), `select` (filters), `pick` (one of several),
//! `discovery` (lookups over HTTP), `topology` (what runs where, as a graph), `found` and `told` (for siblings).

mod beats;
mod checks;
mod discovery;
mod found;
mod index;
mod lease;
mod member;
mod nodes;
mod pick;
mod random;
mod removal;
mod restore;
mod routes;
mod select;
mod services;
mod share;
mod told;
mod topology;
mod types;
mod wheel;
mod worker;
mod writer;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;

use crate::{
    app::App,
    clock::{Clock, Timestamp},
    db::{AsConn, Db, GroupCommit},
    feed::{Change, Feed, Op},
    ids::{Ids, NodeId, Revision, ServiceId},
    settings,
};
use index::Index;
use member::Member;
use wheel::Wheel;
use writer::{Edit, Reply};

pub use checks::CheckCounts;
pub use found::{Found, FoundAs, FoundError};
pub use nodes::{NODES, NewNode, Node, NodeStatus, NodeType};
pub use routes::routes;
pub use select::Filter;
pub use services::{Check, CheckKind, Hold, NewService, SERVICES, SIGNALS, Service, ServiceStatus, Signal, Signals};
pub use told::{Said, Seen, Watched};
pub use topology::{EdgeKind, VertexKind};
pub use types::{Counts, Health, Maintenance, Object, Protection, SetMaintenance, Tags};
pub use writer::WriteError;

pub(crate) const STATEMENTS: [&[(&str, &str)]; 2] = [services::STATEMENTS, nodes::STATEMENTS];
pub(crate) const SQLITE: [&[(&str, &str)]; 2] = [services::SQLITE, nodes::SQLITE];
pub(crate) const POSTGRES: [&[(&str, &str)]; 2] = [services::POSTGRES, nodes::POSTGRES];

/// How often is looked which leases have run out.
const TICK: Duration = Duration::from_secs(1);
/// How exactly that is told: whoever has run out comes up with the next look, and not with the one after.
const FINE: Duration = Duration::from_millis(100);
/// Slots of a wheel: leases of up to that many tenths of a second come up once.
const SLOTS: usize = 8192;

/// The registry. Clones share it.
#[derive(Clone)]
pub struct Registry {
    core: Arc<Core>,
    services: GroupCommit<Edit<Service>, Reply<Service>>,
    nodes: GroupCommit<Edit<Node>, Reply<Node>>,
    /// What empties the two queues, until it is started.
    writers: Arc<Mutex<Vec<Writer>>>,
}

/// A lasting task and its name.
type Writer = (&'static str, BoxFuture<'static, ()>);

/// What everything here shares.
struct Core {
    db: Db,
    feed: Feed,
    clock: Clock,
    settings: settings::Registry,
    random: random::Random,
    index: RwLock<Index>,
    wheels: Wheels,
    checks: checks::Checks,
    sweeps: Mutex<worker::Sweeps>,
    protection: Mutex<Protection>,
    heartbeats: AtomicU64,
    expired: AtomicU64,
}

struct Wheels {
    services: Mutex<Wheel<ServiceId>>,
    nodes: Mutex<Wheel<NodeId>>,
}

impl Core {
    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Index)) {
        change(&mut self.index.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn wheel<T: Member>(&self) -> MutexGuard<'_, Wheel<T::Id>> {
        T::wheel(self).lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sweeps(&self) -> MutexGuard<'_, worker::Sweeps> {
        self.sweeps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of a lease, in `uptime`; there is none where no heartbeat is expected, or missed already.
    fn deadline<T: Member>(&self, index: &Index, id: &T::Id) -> Option<Duration> {
        let held = T::members(index).get(id)?;
        let ttl = Duration::from_secs(u64::try_from(held.thing.ttl_seconds()).unwrap_or(0));
        let patience = ttl + ttl.mul_f64(self.settings.late_beat_grace);
        held.thing.has_lease().then(|| held.lease.beat().max(self.sweeps().grace) + patience)
    }

    /// Has the lease of `id` looked at when it ends.
    fn arm<T: Member>(&self, id: &T::Id) {
        let deadline = self.deadline::<T>(&self.index(), id);
        if let Some(deadline) = deadline {
            self.wheel::<T>().arm(id.clone(), deadline);
        }
    }

    fn apply_service(&self, change: &Change) {
        let id = ServiceId::from(change.key.as_str());
        match change.op {
            Op::Delete => {
                self.change(|index| index.remove_service(&id, change.revision));
                self.checks.forget(&id);
            }
            Op::Put => {
                if let Some(service) = change.read::<Service>() {
                    self.checks.plan_for(&service, &self.clock, &self.random);
                    self.change(|index| index.put_service(service, self.clock.uptime()));
                    self.arm::<Service>(&id);
                }
            }
        }
    }

    fn apply_signals(&self, change: &Change) {
        if let Some(service) = change.read::<Service>() {
            let id = service.service_id.clone();
            self.change(|index| index.put_service_unseen(service, self.clock.uptime()));
            self.arm::<Service>(&id);
        }
    }

    fn apply_node(&self, change: &Change) {
        let id = NodeId::from(change.key.as_str());
        match change.op {
            Op::Delete => self.change(|index| index.remove_node(&id, change.revision)),
            Op::Put => {
                if let Some(node) = change.read::<Node>() {
                    self.change(|index| index.put_node(node, self.clock.uptime()));
                    self.arm::<Node>(&id);
                }
            }
        }
    }
}

/// What a registry stands on.
pub struct Base<'a> {
    /// The database.
    pub db: &'a Db,
    /// The change feed.
    pub feed: &'a Feed,
    /// The time.
    pub clock: &'a Clock,
    /// Chance.
    pub ids: &'a Ids,
    /// How long leases last, and how many may end at once.
    pub settings: &'a settings::Registry,
}

impl Registry {
    /// Keeps itself true from the feed.
    pub fn new(base: &Base<'_>) -> Self {
        let Base { db, feed, clock, ids, settings } = *base;
        let wheels = Wheels { services: Wheel::new(SLOTS, FINE).into(), nodes: Wheel::new(SLOTS, FINE).into() };
        let core = Arc::new(Core {
            db: db.clone(),
            feed: feed.clone(),
            clock: clock.clone(),
            settings: settings.clone(),
            random: random::Random::new(ids.random()),
            index: RwLock::new(Index::new(Revision(0))),
            wheels,
            checks: checks::Checks::new(),
            sweeps: Mutex::default(),
            protection: Mutex::default(),
            heartbeats: AtomicU64::new(0),
            expired: AtomicU64::new(0),
        });
        // The core holds the feed, so what the feed holds must not keep the core.
        let own = Arc::downgrade(&core);
        feed.on(SERVICES, move |change| own.upgrade().iter().for_each(|core| core.apply_service(change)));
        let own = Arc::downgrade(&core);
        feed.on(SIGNALS, move |change| own.upgrade().iter().for_each(|core| core.apply_signals(change)));
        let own = Arc::downgrade(&core);
        feed.on(NODES, move |change| own.upgrade().iter().for_each(|core| core.apply_node(change)));
        let (services, services_writer) = queue(&core);
        let (nodes, nodes_writer) = queue(&core);
        let writers = vec![("registry.services", services_writer), ("registry.nodes", nodes_writer)];
        Self { core, services, nodes, writers: Arc::new(Mutex::new(writers)) }
    }

    /// A service, as of its last change.
    pub fn service(&self, id: &ServiceId) -> Option<Arc<Service>> {
        self.core.index().services.get(id).map(|held| held.thing.clone())
    }

    /// A node, as of its last change.
    pub fn node(&self, id: &NodeId) -> Option<Arc<Node>> {
        self.core.index().nodes.get(id).map(|held| held.thing.clone())
    }

    /// Whether a service is registered.
    pub fn exists(&self, id: &ServiceId) -> bool {
        self.core.index().services.get(id).is_some()
    }

    /// When a service was last heard of, to the newest heartbeat.
    pub fn last_heartbeat(&self, id: &ServiceId) -> Option<Timestamp> {
        self.core.index().services.get(id)?.lease.last_beat()
    }

    /// The services that a filter lets through, in the order of their ids.
    pub fn services_matching(&self, filter: &Filter) -> Vec<Arc<Service>> {
        let index = self.core.index();
        filter.select(&index).into_iter().map(|held| held.thing.clone()).collect()
    }

    /// Whether expiry is held back.
    pub fn protection(&self) -> Protection {
        self.core.protection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many lookups wait for a change of a name.
    pub fn waiting(&self, name: &str) -> usize {
        self.core.index().waiting(name)
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        let index = self.core.index();
        let mut counts = Counts {
            heartbeats: self.core.heartbeats.load(Relaxed),
            expired: self.core.expired.load(Relaxed),
            protected: self.protection().active,
            checks: self.core.checks.counts(self.core.clock.uptime()),
            ..Counts::default()
        };
        for (_, held) in index.services.iter() {
            *counts.services.entry((held.thing.health().as_str(), held.thing.status())).or_default() += 1;
            counts.held += u64::from(held.thing.signals.held.is_some());
        }
        for (_, held) in index.nodes.iter() {
            *counts.nodes.entry((held.thing.health().as_str(), held.thing.status())).or_default() += 1;
        }
        counts
    }
}

/// A member with a queue of its own for writes.
trait Queued: Member {
    fn queue(registry: &Registry) -> &GroupCommit<Edit<Self>, Reply<Self>>;
}

impl Queued for Service {
    fn queue(registry: &Registry) -> &GroupCommit<Edit<Self>, Reply<Self>> {
        &registry.services
    }
}

impl Queued for Node {
    fn queue(registry: &Registry) -> &GroupCommit<Edit<Self>, Reply<Self>> {
        &registry.nodes
    }
}

type Queue<T> = (GroupCommit<Edit<T>, Reply<T>>, BoxFuture<'static, ()>);

fn queue<T: Member>(core: &Arc<Core>) -> Queue<T> {
    let core = core.clone();
    let (queue, writer) = GroupCommit::new(move |edits: Vec<Edit<T>>| {
        let core = core.clone();
        async move { writer::write(&core, &edits).await }
    });
    (queue, Box::pin(writer))
}

/// Fills memory from the database, as `on` sees it. Every lease begins anew.
pub async fn load(on: &mut dyn AsConn, own: &Registry) -> anyhow::Result<()> {
    let core = &own.core;
    let head = core.feed.stored_head(on).await?;
    let services = services::all(on).await?;
    let nodes = nodes::all(on).await?;
    let uptime = core.clock.uptime();
    core.sweeps().begin(uptime);
    let mut index = Index::new(head);
    nodes.into_iter().for_each(|node| index.put_node(node, uptime));
    for service in services {
        core.checks.plan_for(&service, &core.clock, &core.random);
        index.put_service(service, uptime);
    }
    core.checks.spread(uptime, &core.random);
    index.raise_names(head);
    let (services, nodes): (Vec<_>, Vec<_>) = (
        index.services.iter().map(|(id, _)| id.clone()).collect(),
        index.nodes.iter().map(|(id, _)| id.clone()).collect(),
    );
    core.change(|old| *old = index);
    services.iter().for_each(|id| core.arm::<Service>(id));
    nodes.iter().for_each(|id| core.arm::<Node>(id));
    Ok(())
}

/// Starts what it does by itself.
pub fn start(app: &App) {
    let writers = std::mem::take(&mut *app.registry.writers.lock().unwrap_or_else(PoisonError::into_inner));
    for (name, writer) in writers {
        app.tasks.spawn_last(name, writer);
    }
    worker::start(app);
    removal::start(app);
    checks::start(app);
}
