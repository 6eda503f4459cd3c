//! Samples of services: taken, kept for a while, asked for.
//!
//! A sample belongs to a series: a service, a name and tags, numbered once. It is durable before it is acknowledged, and
//! the newest part of every series is held in memory, for evaluation and for recent queries; answers are the same from
//! either. A gap is a gap: nothing is invented here, and nothing is cut short without saying so.
//!
//! Read on in `types`, `memory` (finding series), `ingest` (checking samples), `writer` (making them durable), `history`
//! (reading), `aggregate`, `worker` (other replicas, retention), `queries`, `routes`.

mod aggregate;
mod history;
mod ingest;
mod memory;
mod queries;
mod routes;
mod types;
mod worker;
mod writer;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    app::App,
    clock::{Clock, Timestamp},
    db::{AsConn, Db, GroupCommit},
    settings,
};

pub use memory::Filter;
pub(crate) use queries::{POSTGRES, SQLITE, STATEMENTS};
pub use routes::routes;
pub use types::{Aggregate, Columns, Counts, Point, Sample, Series, SeriesId, SeriesInfo, SeriesKey};
pub use writer::{Refused, WriteError};

/// How many series are read at a time when memory is filled.
const LOAD: usize = 2000;

/// The metrics. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    store: Arc<Store>,
    queue: GroupCommit<writer::Queued, writer::Reply>,
    /// The writer, until `start` spawns it.
    writer: Arc<Mutex<Option<Writer>>>,
    waiting: Arc<writer::Waiting>,
    accepted: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

type Writer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the writer, the readers and the tasks share.
struct Store {
    db: Db,
    clock: Clock,
    settings: settings::Metrics,
    memory: memory::Memory,
    /// Held while memory is brought up to what the database has.
    applied: tokio::sync::Mutex<worker::Applied>,
}

impl Store {
    /// Samples before this are not kept.
    fn oldest(&self) -> Timestamp {
        self.clock.now().minus(self.settings.retention())
    }

    /// Points before this are not held in memory.
    fn recent_cutoff(&self) -> i64 {
        self.clock.now().minus(self.settings.recent()).millis()
    }
}

impl Metrics {
    /// Metrics in `db`; `load` fills their memory.
    pub fn new(db: &Db, clock: &Clock, settings: settings::Metrics) -> Self {
        let store = Arc::new(Store {
            db: db.clone(),
            clock: clock.clone(),
            settings,
            memory: memory::Memory::default(),
            applied: tokio::sync::Mutex::default(),
        });
        let own = store.clone();
        let (queue, writer) = GroupCommit::new(move |ops| {
            let store = own.clone();
            async move { writer::flush(&store, ops).await }
        });
        let writer: Writer = Box::pin(writer);
        let (waiting, accepted, refused) = Default::default();
        Self { store, queue, writer: Arc::new(Mutex::new(Some(writer))), waiting, accepted, refused }
    }

    /// Makes samples durable; gives those that were refused, and why. The others are kept.
    pub async fn write(&self, samples: Vec<Sample>) -> Result<Vec<Refused>, WriteError> {
        if samples.is_empty() {
            return Ok(Vec::new());
        }
        let count = samples.len();
        let place = self.waiting.take(count)?;
        let refused = self.queue.submit(writer::Queued { samples, place }).await??;
        self.accepted.fetch_add((count - refused.len()) as u64, Ordering::Relaxed);
        Ok(refused)
    }

    /// Every series of that name that is `wanted`, by number. `wanted` must not ask for metrics itself.
    pub fn select(&self, metric_name: &str, wanted: impl Fn(&Series) -> bool) -> Vec<Arc<Series>> {
        self.store.memory.of_name(metric_name, wanted)
    }

    /// The points of `lookback` until now, in columns, from memory alone; with no `lookback`, the newest point of each.
    /// Reaches back no further than `recent`.
    pub fn batch(&self, series: &[Arc<Series>], lookback: Duration) -> Columns {
        let from = self.store.clock.now().minus(lookback).millis();
        let mut columns = Columns::with_capacity(series.len());
        for one in series {
            one.with_recent(|_, points| {
                let first = match lookback {
                    Duration::ZERO => points.len().saturating_sub(1),
                    _ => points.partition_point(|(at, _)| *at < from),
                };
                columns.add(one.series_id, points.range(first..).copied());
            });
        }
        columns
    }

    /// The points with `from <= time < to`, in columns, from memory and from the database.
    pub async fn history(&self, series: &[Arc<Series>], from: Timestamp, to: Timestamp) -> anyhow::Result<Columns> {
        let window = history::Window { from, to, look_back: false };
        let points = history::read(&self.store, series, window).await?;
        let mut columns = Columns::with_capacity(series.len());
        for (one, points) in series.iter().zip(points) {
            columns.add(one.series_id, points.into_iter());
        }
        Ok(columns)
    }

    /// How far back memory reaches.
    pub fn recent(&self) -> Duration {
        self.store.settings.recent()
    }

    fn count_refused(&self, samples: usize) {
        self.refused.fetch_add(samples as u64, Ordering::Relaxed);
    }

    /// What is counted.
    pub fn counts(&self) -> Counts {
        let all = self.store.memory.all();
        Counts {
            series: all.len() as u64,
            points: all.iter().map(|series| series.held() as u64).sum(),
            accepted: self.accepted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

/// Fills memory from the database, as `on` sees it.
pub async fn load(on: &mut dyn AsConn, own: &Metrics) -> anyhow::Result<()> {
    let store = &own.store;
    store.applied.lock().await.start(queries::head(on).await?);
    let cutoff = store.recent_cutoff();
    let from = store.clock.now().minus(store.settings.recent());
    let mut ids = Vec::new();
    for queries::StoredSeries { series_id, key, unit, newest } in queries::all_series(on).await? {
        let series = store.memory.add(Series::new(series_id, key, unit, cutoff));
        if let Some(newest) = newest {
            series.seen(newest.millis());
        }
        ids.push(series_id);
    }
    let mut after = SeriesId(0);
    for part in ids.chunks(LOAD) {
        let Some(last) = part.last().copied() else { break };
        for (id, point) in queries::recent(on, from, after, last).await? {
            if let Some(series) = store.memory.of_id(id) {
                series.push(point, cutoff);
            }
        }
        after = last;
    }
    Ok(())
}

/// Starts what it does by itself.
pub fn start(app: &App) {
    let writer = app.metrics.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(writer) = writer {
        app.tasks.spawn_last("metrics.write", writer);
    }
    let store = app.metrics.store.clone();
    app.tasks.every("metrics.follow", Duration::from_secs(1), move || {
        let store = store.clone();
        async move { worker::follow(&store).await }
    });
    let store = app.metrics.store.clone();
    app.tasks.every("metrics.retain", Duration::from_secs(300), move || {
        let store = store.clone();
        async move { worker::retain(&store).await }
    });
}
