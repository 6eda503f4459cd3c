//! Reading points: the recent ones from memory, the rest from the database. Whoever asks cannot tell which is which.

use std::{collections::HashMap, sync::Arc};

use super::{
    Store, queries,
    types::{Point, Series, SeriesId},
};
use crate::{clock::Timestamp, db::DbError};

/// How many points one reading may give.
pub const MOST_POINTS: usize = 1_000_000;
/// How many series one statement reads.
const SERIES: usize = 100;

/// Which points are wanted: `from <= time < to`, and with `look_back` the one before them, too.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The first moment.
    pub from: Timestamp,
    /// The moment after the last.
    pub to: Timestamp,
    /// Whether the newest point before `from` is wanted, too.
    pub look_back: bool,
}

/// Why points could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// More than `MOST_POINTS`.
    #[error("these are more than {MOST_POINTS} points: ask for fewer series or a shorter time")]
    TooMany,
    /// A statement failed.
    #[error("could not read points")]
    Database(#[from] DbError),
}

/// What is known of one series before the database is asked.
struct Part {
    id: SeriesId,
    /// Points before this are in the database alone.
    held_from: i64,
    before: Option<Point>,
    points: Vec<Point>,
}

/// The points of each series, oldest first. Nothing older than retention is given, whether it is deleted yet or not.
pub(super) async fn read(store: &Store, series: &[Arc<Series>], window: Window) -> Result<Vec<Vec<Point>>, ReadError> {
    let oldest = store.oldest();
    let window = Window { from: window.from.max(oldest), ..window };
    let mut parts: Vec<Part> = series.iter().map(|series| from_memory(series, window)).collect();
    let mut left = MOST_POINTS;
    for part in &parts {
        left = left.checked_sub(part.points.len()).ok_or(ReadError::TooMany)?;
    }
    let first = window.from.millis();
    let ids: Vec<(SeriesId, i64)> =
        parts.iter().filter(|part| part.held_from > first).map(|part| (part.id, part.held_from)).collect();
    let mut stored: HashMap<SeriesId, Vec<Point>> = HashMap::new();
    for chunk in ids.chunks(SERIES) {
        from_database(store, chunk, window, &mut left, &mut stored).await?;
    }
    for part in &mut parts {
        let mut points = stored.remove(&part.id).unwrap_or_default();
        points.append(&mut part.points);
        part.points = points;
    }
    if window.look_back {
        look_back(store, &mut parts, window.from, oldest).await?;
    }
    Ok(parts.into_iter().map(|part| part.points).collect())
}

fn from_memory(series: &Series, window: Window) -> Part {
    let (from, to) = (window.from.millis(), window.to.millis());
    series.with_recent(|held_from, points| {
        let start = points.partition_point(|(at, _)| *at < from.max(held_from));
        let end = points.partition_point(|(at, _)| *at < to).max(start);
        let before = start.checked_sub(1).and_then(|last| points.get(last)).copied();
        let before = before.filter(|_| held_from <= from);
        Part { id: series.series_id, held_from, before, points: points.range(start..end).copied().collect() }
    })
}

/// Reads what memory does not hold of the series `ids`, each up to its moment.
async fn from_database(
    store: &Store,
    ids: &[(SeriesId, i64)],
    window: Window,
    left: &mut usize,
    stored: &mut HashMap<SeriesId, Vec<Point>>,
) -> Result<(), ReadError> {
    let held_from: HashMap<SeriesId, i64> = ids.iter().copied().collect();
    let newest = held_from.values().copied().max().and_then(Timestamp::from_millis);
    let to = newest.map_or(window.to, |newest| newest.min(window.to));
    let ids: Vec<SeriesId> = ids.iter().map(|(id, _)| *id).collect();
    let limit = i64::try_from(*left + 1).unwrap_or(i64::MAX);
    let found = queries::between(&mut store.db.read().await?, &ids, (window.from, to), limit).await?;
    *left = left.checked_sub(found.len()).ok_or(ReadError::TooMany)?;
    for (id, point) in found {
        if held_from.get(&id).is_some_and(|until| point.0 < *until) {
            stored.entry(id).or_default().push(point);
        }
    }
    Ok(())
}

/// Puts the newest point before `from` in front, if there is one that is still kept.
async fn look_back(store: &Store, parts: &mut [Part], from: Timestamp, oldest: Timestamp) -> Result<(), ReadError> {
    let mut reader = store.db.read().await?;
    for part in parts {
        let before = match part.before {
            Some(before) => Some(before).filter(|(at, _)| *at >= oldest.millis()),
            None => queries::before(&mut reader, part.id, from, oldest).await?,
        };
        if let Some(before) = before {
            part.points.insert(0, before);
        }
    }
    Ok(())
}
