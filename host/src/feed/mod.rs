//! The change feed: what ties memory, watchers and replicas to the database.
//!
//! Every change that others must see becomes a row of `changes` in the transaction that makes it. Its revision comes from
//! the one row of `feed_head`, updated last in that transaction: the row's lock is held until the commit, so the order of
//! revisions is the order of commits, without gaps, on both databases. After the commit the change is applied to memory and shown to
//! watchers, in that order; changes of other replicas that came before it are read and applied first. So whoever has seen
//! revision N has seen everything up to N, once. A replica that has missed changes which are no longer kept writes nothing
//! any more and ends. This module knows no domain: domains register what applies a topic.
//!
//! Read on in `types` (changes, topics), `queries`, `worker` (other replicas, pruning), `routes` (`/watch`).

mod queries;
mod routes;
mod types;
mod worker;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak},
};

use tokio::sync::{OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    db::{self, AsConn, Db, Tx},
    ids::{Ids, ReplicaId, Revision},
};

pub use queries::is_behind;
pub(crate) use queries::{POSTGRES, SQLITE, STATEMENTS};
pub use routes::routes;
pub use types::{Actor, Behind, Change, Changes, Op, Topic};
pub use worker::{follow, look_again, start};

/// How many changes are kept in memory for watchers that resume; older ones are read from the database.
const RING: usize = 4096;

type Apply = Box<dyn Fn(&Change) + Send + Sync>;

/// The change feed of this replica. Clones share it.
#[derive(Clone)]
pub struct Feed(Arc<Shared>);

/// A handle for what the feed itself holds: it does not keep the feed.
pub struct WeakFeed(Weak<Shared>);

impl WeakFeed {
    /// The feed, while others hold it.
    pub fn upgrade(&self) -> Option<Feed> {
        self.0.upgrade().map(Feed)
    }
}

struct Shared {
    db: Db,
    clock: Clock,
    ids: Ids,
    replica: ReplicaId,
    /// Who may commit, and what has been applied. Taken after a transaction is open, held until its changes are applied.
    applied: Arc<tokio::sync::Mutex<Revision>>,
    head: watch::Sender<Revision>,
    recent: RwLock<VecDeque<Arc<Change>>>,
    registered: Mutex<Vec<(Topic, Apply)>>,
    appliers: OnceLock<Vec<(Topic, Apply)>>,
    looks: worker::Looks,
    /// Cancelled when changes were missed for good.
    behind: CancellationToken,
}

/// Revisions that are reserved in a transaction: the rest of it must be short, others wait.
pub struct Reserved {
    applied: OwnedMutexGuard<Revision>,
    missed: Vec<Change>,
    first: Revision,
}

impl Reserved {
    /// The first of the revisions, for the first change.
    pub fn first(&self) -> Revision {
        self.first
    }
}

impl Feed {
    /// A handle that does not keep the feed.
    pub fn downgrade(&self) -> WeakFeed {
        WeakFeed(Arc::downgrade(&self.0))
    }

    /// A feed that has seen nothing yet: `start` tells it from where memory was loaded.
    pub fn new(db: Db, clock: Clock, ids: Ids, replica: ReplicaId) -> Self {
        Self(Arc::new(Shared {
            db,
            clock,
            ids,
            replica,
            applied: Arc::default(),
            head: watch::Sender::new(Revision(0)),
            recent: RwLock::default(),
            registered: Mutex::default(),
            appliers: OnceLock::new(),
            looks: worker::Looks::default(),
            behind: CancellationToken::new(),
        }))
    }

    /// Registers what applies the changes of a topic to memory. Only before `start`.
    pub fn on(&self, topic: Topic, apply: impl Fn(&Change) + Send + Sync + 'static) {
        let mut registered = self.0.registered.lock().unwrap_or_else(PoisonError::into_inner);
        registered.push((topic, Box::new(apply)));
    }

    /// Begins after `loaded`, the revision that memory was loaded at.
    pub async fn start(&self, loaded: Revision) {
        let registered = std::mem::take(&mut *self.0.registered.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = self.0.appliers.set(registered);
        *self.0.applied.lock().await = loaded;
        self.0.head.send_replace(loaded);
    }

    /// The topics that something was registered for.
    pub fn topics(&self) -> impl Iterator<Item = Topic> + '_ {
        self.0.appliers.get().into_iter().flatten().map(|(topic, _)| *topic)
    }

    /// The newest revision that memory holds.
    pub fn head(&self) -> Revision {
        *self.0.head.borrow()
    }

    /// Changes whenever `head` does.
    pub fn subscribe(&self) -> watch::Receiver<Revision> {
        self.0.head.subscribe()
    }

    /// The newest revision in the database, as `on` sees it.
    pub async fn stored_head(&self, on: &mut dyn AsConn) -> db::Result<Revision> {
        queries::head(on).await
    }

    /// Memory, at `applied`, has missed what comes next for good.
    fn fall_behind(&self, applied: Revision) -> Behind {
        let behind = Behind(applied);
        if !self.0.behind.is_cancelled() {
            tracing::error!(revision = %applied, "{behind}");
            self.0.behind.cancel();
        }
        behind
    }

    /// Reserves `count` revisions, for rows that carry theirs. Nothing that is slow may follow before `commit_reserved`.
    pub async fn reserve(&self, tx: &mut Tx, count: usize) -> db::Result<Reserved> {
        let applied = self.0.applied.clone().lock_owned().await;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let last = queries::raise_head(tx, count).await?;
        let first = Revision(last.0 - count + 1);
        // The lock is ours, so everything below is committed: what other replicas did is there to be read.
        let missed = match first.0 - 1 > applied.0 {
            true => queries::between(tx, *applied, first).await?,
            false => Vec::new(),
        };
        if missed.len() != usize::try_from(first.0 - 1 - applied.0).unwrap_or(0) {
            return Err(queries::behind(self.fall_behind(*applied)));
        }
        Ok(Reserved { applied, missed, first })
    }

    /// Commits a transaction whose changes number exactly what was reserved.
    pub async fn commit_reserved(&self, mut tx: Tx, reserved: Reserved, changes: Changes) -> db::Result<Revision> {
        let Reserved { mut applied, missed, first } = reserved;
        let (changes, audit) = changes.dated(first, self.0.clock.now(), &self.0.replica);
        queries::insert(&mut tx, &changes).await?;
        queries::insert_audit(&mut tx, &audit, || self.0.ids.next()).await?;
        tx.commit().await?;
        for change in missed.into_iter().chain(changes) {
            *applied = change.revision;
            self.apply(change);
        }
        self.0.head.send_replace(*applied);
        Ok(*applied)
    }

    /// Commits a transaction with its changes and their audit rows; memory holds them when this returns.
    pub async fn commit(&self, mut tx: Tx, changes: Changes) -> db::Result<Revision> {
        if changes.is_empty() {
            tx.commit().await?;
            return Ok(self.head());
        }
        let reserved = self.reserve(&mut tx, changes.len()).await?;
        self.commit_reserved(tx, reserved, changes).await
    }

    fn apply(&self, change: Change) {
        for (topic, apply) in self.0.appliers.get().into_iter().flatten() {
            if topic.name == change.topic {
                apply(&change);
            }
        }
        let mut recent = self.0.recent.write().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RING {
            recent.pop_front();
        }
        recent.push_back(Arc::new(change));
    }

    /// Up to `limit` changes after `seen`, in order; `None` when some of them are no longer kept.
    pub async fn after(&self, seen: Revision, limit: usize) -> db::Result<Option<Vec<Arc<Change>>>> {
        {
            let recent = self.0.recent.read().unwrap_or_else(PoisonError::into_inner);
            let oldest = recent.front().map_or(Revision(self.head().0 + 1), |change| change.revision);
            if seen.0 + 1 >= oldest.0 {
                let skip = usize::try_from(seen.0 + 1 - oldest.0).unwrap_or(usize::MAX);
                return Ok(Some(recent.iter().skip(skip).take(limit).cloned().collect()));
            }
        }
        let mut reader = self.0.db.read().await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let stored = queries::after(&mut reader, seen, limit).await?;
        let complete = stored.first().is_some_and(|first| first.revision.0 == seen.0 + 1);
        Ok(complete.then(|| stored.into_iter().map(Arc::new).collect()))
    }
}
