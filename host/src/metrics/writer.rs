//! Making samples durable: what has queued goes into one transaction, then into memory, and is then answered.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    Store, queries,
    queries::NewSeries,
    types::{Sample, Series, SeriesId, SeriesKey},
};
use crate::{
    clock::Timestamp,
    db::{self, DbError, Overloaded},
    ids::ServiceId,
};

/// How many samples one transaction takes, unless a single request has more.
const BATCH: usize = 20_000;
/// How many samples may wait.
const MOST_WAITING: usize = 400_000;

/// A sample that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which of the request it is.
    pub index: usize,
    /// Why.
    pub reason: String,
}

/// Why samples could not be made durable.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// Too many samples wait, or the database is busy: try again.
    #[error("too many samples are waiting")]
    Busy,
    /// A statement failed.
    #[error("could not write samples: {0}")]
    Database(Arc<DbError>),
}

impl From<Overloaded> for WriteError {
    fn from(_: Overloaded) -> Self {
        Self::Busy
    }
}

impl From<DbError> for WriteError {
    fn from(error: DbError) -> Self {
        if db::is_pool_timeout(&error) { Self::Busy } else { Self::Database(Arc::new(error)) }
    }
}

/// What the writer answers to one request.
pub type Reply = Result<Vec<Refused>, WriteError>;

/// How many samples wait to be written.
#[derive(Default)]
pub struct Waiting(AtomicUsize);

/// A place among those that wait.
pub struct Place(Arc<Waiting>, usize);

impl Waiting {
    /// A place for `count` samples, unless too many wait.
    pub fn take(self: &Arc<Self>, count: usize) -> Result<Place, Overloaded> {
        let place = Place(self.clone(), count);
        if self.0.fetch_add(count, Ordering::Relaxed) + count > MOST_WAITING {
            return Err(Overloaded);
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// The samples of one request, and their place.
pub struct Queued {
    pub(super) samples: Vec<Sample>,
    pub(super) place: Place,
}

/// Writes what has queued and answers each request, in order.
pub(super) async fn flush(store: &Store, queued: Vec<Queued>) -> Vec<Reply> {
    // Their places are theirs until they are written, also when whoever sent them has gone.
    let (requests, _places): (Vec<_>, Vec<_>) =
        queued.into_iter().map(|Queued { samples, place }| (samples, place)).unzip();
    let mut replies = Vec::with_capacity(requests.len());
    let mut batch: Vec<Vec<Sample>> = Vec::new();
    let mut waiting = 0;
    for request in requests {
        if waiting > 0 && waiting + request.len() > BATCH {
            replies.extend(write(store, std::mem::take(&mut batch)).await);
            waiting = 0;
        }
        waiting += request.len();
        batch.push(request);
    }
    replies.extend(write(store, batch).await);
    replies
}

async fn write(store: &Store, batch: Vec<Vec<Sample>>) -> Vec<Reply> {
    let written = match try_write(store, &batch).await {
        // Retention, here or on another replica, has deleted a series that memory still knows.
        Err(error) if db::is_broken_reference(&error) => match forget_deleted(store, &batch).await {
            Ok(()) => try_write(store, &batch).await,
            Err(error) => Err(error),
        },
        written => written,
    };
    match written {
        Ok(refused) => refused.into_iter().map(Ok).collect(),
        Err(error) => {
            let error = WriteError::from(error);
            batch.iter().map(|_| Err(error.clone())).collect()
        }
    }
}

async fn forget_deleted(store: &Store, batch: &[Vec<Sample>]) -> db::Result<()> {
    let known = |sample: &Sample| store.memory.of_key(&sample.key).map(|series| series.series_id);
    let mut ids: Vec<SeriesId> = batch.iter().flatten().filter_map(known).collect();
    ids.sort_unstable();
    ids.dedup();
    let there = queries::existing(&mut store.db.read().await?, &ids).await?;
    ids.retain(|id| !there.contains(id));
    store.memory.remove(&ids);
    Ok(())
}

/// One transaction; gives what was refused of each request.
async fn try_write(store: &Store, batch: &[Vec<Sample>]) -> db::Result<Vec<Vec<Refused>>> {
    let mut applied = store.applied.lock().await;
    let now = store.clock.now();
    let mut plan = Plan::new(store);
    let refused: Vec<Vec<Refused>> = batch.iter().map(|samples| plan.take(samples)).collect();
    if plan.points.is_empty() {
        return Ok(refused);
    }
    let Plan { new, points, .. } = plan;
    let mut tx = store.db.write().await?;
    let seq = queries::raise_head(&mut tx).await?;
    let numbered = number(&mut tx, new, now).await?;
    let id_of = |key: &SeriesKey| match numbered.get(key) {
        Some((id, _)) => Some(*id),
        None => store.memory.of_key(key).map(|series| series.series_id),
    };
    let mut rows: Vec<(SeriesId, Timestamp, f64)> =
        points.iter().filter_map(|((key, at), value)| Some((id_of(key)?, *at, *value))).collect();
    rows.sort_unstable_by_key(|(id, at, _)| (*id, *at));
    queries::insert_points(&mut tx, &rows, seq).await?;
    tx.commit().await?;
    let cutoff = store.recent_cutoff();
    for (key, (id, unit)) in numbered {
        let series = store.memory.add(Series::new(id, key.clone(), None, cutoff));
        if let Some(unit) = unit {
            series.set_unit(unit);
        }
    }
    for (id, at, value) in rows {
        if let Some(series) = store.memory.of_id(id) {
            series.push((at.millis(), value), cutoff);
        }
    }
    applied.own(seq);
    Ok(refused)
}

/// Numbers series, and notes units that have changed.
async fn number(
    tx: &mut db::Tx,
    new: BTreeMap<&SeriesKey, Option<String>>,
    now: Timestamp,
) -> db::Result<HashMap<SeriesKey, (SeriesId, Option<String>)>> {
    if new.is_empty() {
        return Ok(HashMap::new());
    }
    let new: Vec<NewSeries> =
        new.into_iter().map(|(key, unit)| NewSeries { digest: key.digest(), key: key.clone(), unit }).collect();
    let numbers = queries::intern(tx, &new, now).await?;
    let mut by_digest: HashMap<String, SeriesId> = numbers.into_iter().map(|(id, digest)| (digest, id)).collect();
    let numbered = new.into_iter().filter_map(|NewSeries { digest, key, unit }| {
        let id = by_digest.remove(&digest)?;
        Some((key, (id, unit)))
    });
    Ok(numbered.collect())
}

/// What a transaction will write.
struct Plan<'b> {
    store: &'b Store,
    /// Series to be numbered, or whose unit has changed.
    new: BTreeMap<&'b SeriesKey, Option<String>>,
    /// The last value of each moment.
    points: BTreeMap<(&'b SeriesKey, Timestamp), f64>,
    /// How many series a service will have.
    counts: HashMap<&'b ServiceId, usize>,
}

impl<'b> Plan<'b> {
    fn new(store: &'b Store) -> Self {
        Self { store, new: BTreeMap::new(), points: BTreeMap::new(), counts: HashMap::new() }
    }

    /// Adds a request; gives what is refused of it.
    fn take(&mut self, samples: &'b [Sample]) -> Vec<Refused> {
        let mut refused = Vec::new();
        for sample in samples {
            match self.admit(sample) {
                Ok(()) => drop(self.points.insert((&sample.key, sample.at), sample.value)),
                Err(reason) => refused.push(Refused { index: sample.index, reason }),
            }
        }
        refused
    }

    fn admit(&mut self, sample: &'b Sample) -> Result<(), String> {
        let Sample { key, unit, .. } = sample;
        if let Some(planned) = self.new.get_mut(key) {
            if unit.is_some() {
                planned.clone_from(unit);
            }
            return Ok(());
        }
        match self.store.memory.of_key(key) {
            Some(series) => {
                if unit.as_deref().is_some_and(|unit| !series.has_unit(unit)) {
                    self.new.insert(key, unit.clone());
                }
            }
            None => {
                let most = self.store.settings.max_series_per_service;
                let count =
                    self.counts.entry(&key.service_id).or_insert_with(|| self.store.memory.count_of(&key.service_id));
                if *count >= most {
                    return Err(format!(
                        "would be one series more than the {most} (metrics.max_series_per_service) that a service may have"
                    ));
                }
                *count += 1;
                self.new.insert(key, unit.clone());
            }
        }
        Ok(())
    }
}
