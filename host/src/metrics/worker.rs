//! What metrics do by themselves: read what other replicas have written, and forget what is old.

use std::collections::BTreeSet;

use super::{
    Store, queries,
    queries::StoredSeries,
    types::{Series, SeriesId},
};
use crate::db;

/// How many writes of other replicas are read at a time.
const PAGE: i64 = 100;
/// How many series are looked at in one transaction of retention.
const SERIES: usize = 500;
/// How many points one transaction of retention deletes.
const POINTS: i64 = 5000;

/// Which writes memory holds: all up to `head`, and those of `own` beyond it.
#[derive(Default)]
pub struct Applied {
    head: i64,
    own: BTreeSet<i64>,
}

impl Applied {
    /// Memory was filled as of `head`.
    pub fn start(&mut self, head: i64) {
        *self = Self { head, own: BTreeSet::new() };
    }

    /// A write of this replica is in memory.
    pub fn own(&mut self, seq: i64) {
        self.own.insert(seq);
        self.up_to(self.head);
    }

    /// Everything up to `seq` is in memory.
    fn up_to(&mut self, seq: i64) {
        self.head = seq;
        self.own = self.own.split_off(&(seq + 1));
        while self.own.remove(&(self.head + 1)) {
            self.head += 1;
        }
    }
}

/// Takes into memory what other replicas have written since. On one replica there is never anything to do.
pub(super) async fn follow(store: &Store) -> anyhow::Result<()> {
    loop {
        // Held while reading and applying, so that no write of this replica comes between.
        let mut applied = store.applied.lock().await;
        let mut reader = store.db.read().await?;
        let head = queries::head(&mut reader).await?;
        if head <= applied.head {
            return Ok(());
        }
        let last = head.min(applied.head + PAGE);
        let (series, points) = queries::written(&mut reader, applied.head, last).await?;
        drop(reader);
        let cutoff = store.recent_cutoff();
        for StoredSeries { series_id, key, unit, newest: _ } in series {
            let series = store.memory.add(Series::new(series_id, key, None, cutoff));
            if let Some(unit) = unit {
                series.set_unit(unit);
            }
        }
        for (id, point) in points {
            if let Some(series) = store.memory.of_id(id) {
                series.push(point, cutoff);
            }
        }
        applied.up_to(last);
    }
}

/// Deletes points that are older than they are kept, and series that have none left; trims memory.
pub(super) async fn retain(store: &Store) -> anyhow::Result<()> {
    store.clock.settled()?;
    let (oldest, cutoff) = (store.oldest(), store.recent_cutoff());
    let all = store.memory.all();
    for series in &all {
        series.trim(cutoff);
    }
    let ids: Vec<SeriesId> = all.iter().map(|series| series.series_id).collect();
    let mut deleted = 0;
    for part in ids.chunks(SERIES) {
        loop {
            let mut tx = store.db.write().await?;
            let now = queries::delete_old(&mut tx, part, oldest, POINTS).await?;
            tx.commit().await?;
            deleted += now;
            if i64::try_from(now).unwrap_or(i64::MAX) < POINTS {
                break;
            }
        }
    }
    let empty = |series: &&std::sync::Arc<Series>| series.newest() < oldest.millis();
    let silent: Vec<SeriesId> = all.iter().filter(empty).map(|series| series.series_id).collect();
    for part in silent.chunks(SERIES) {
        forget(store, part).await?;
    }
    if deleted > 0 || !silent.is_empty() {
        tracing::debug!(deleted, series = silent.len(), "forgot {deleted} old points");
    }
    Ok(())
}

/// Deletes series without points, and forgets those that are gone.
async fn forget(store: &Store, ids: &[SeriesId]) -> anyhow::Result<()> {
    // Held, so that no sample of this replica comes for them meanwhile.
    let _applied = store.applied.lock().await;
    let mut tx = store.db.write().await?;
    match queries::delete_empty(&mut tx, ids).await {
        Ok(_) => tx.commit().await?,
        // Another replica has just written a point for one of them: they are looked at again next time.
        Err(error) if db::is_broken_reference(&error) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let there = queries::existing(&mut store.db.read().await?, ids).await?;
    let gone: Vec<SeriesId> = ids.iter().copied().filter(|id| !there.contains(id)).collect();
    store.memory.remove(&gone);
    Ok(())
}
