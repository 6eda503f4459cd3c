//! What a sample and a series are.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    ops::Deref,
    sync::{Arc, PoisonError, RwLock},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::{clock::Timestamp, ids::ServiceId, text_enum};

/// How many points of one series are held in memory at most, however dense they are.
const MOST_HELD: usize = 8192;

/// The number of a series; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(transparent)]
#[sqlx(transparent)]
#[schema(value_type = i64)]
pub struct SeriesId(pub i64);

impl fmt::Display for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What tells a series from any other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SeriesKey {
    /// Whose it is.
    pub service_id: ServiceId,
    /// What was measured.
    pub metric_name: String,
    /// Of which part.
    pub tags: BTreeMap<String, String>,
}

impl SeriesKey {
    /// What stands for it in the database: SHA-256 of its JSON, in hexadecimal.
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(&(&self.service_id, &self.metric_name, &self.tags));
        hex::encode(Sha256::digest(json.expect("texts serialise")))
    }
}

/// Milliseconds since 1970, and the value then.
pub type Point = (i64, f64);

/// A series: what it is, and its recent points. It derefs to its key.
#[derive(Debug)]
pub struct Series {
    /// Its number.
    pub series_id: SeriesId,
    key: Arc<SeriesKey>,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    unit: Option<String>,
    /// From here on `points` has every point there is.
    held_from: i64,
    /// Oldest first, each moment once.
    points: VecDeque<Point>,
    newest: i64,
}

impl Deref for Series {
    type Target = SeriesKey;

    fn deref(&self) -> &SeriesKey {
        &self.key
    }
}

impl Series {
    /// One without points yet; from `held_from` on it will hold them all.
    pub fn new(series_id: SeriesId, key: SeriesKey, unit: Option<String>, held_from: i64) -> Self {
        let state = State { unit, held_from, points: VecDeque::new(), newest: i64::MIN };
        Self { series_id, key: Arc::new(key), state: RwLock::new(state) }
    }

    /// What it is known by.
    pub fn key(&self) -> &Arc<SeriesKey> {
        &self.key
    }

    /// What its values are measured in.
    pub fn unit(&self) -> Option<String> {
        self.read(|state| state.unit.clone())
    }

    /// Whether its values are measured in `unit`.
    pub fn has_unit(&self, unit: &str) -> bool {
        self.read(|state| state.unit.as_deref() == Some(unit))
    }

    /// The time of its newest sample, in milliseconds, as far as is known here.
    pub fn newest(&self) -> i64 {
        self.read(|state| state.newest)
    }

    /// How many points are held in memory.
    pub fn held(&self) -> usize {
        self.read(|state| state.points.len())
    }

    /// Gives `take` the moment from which all points are held, and those points, oldest first.
    pub fn with_recent<R>(&self, take: impl FnOnce(i64, &VecDeque<Point>) -> R) -> R {
        self.read(|state| take(state.held_from, &state.points))
    }

    pub(super) fn set_unit(&self, unit: String) {
        self.write(|state| state.unit = Some(unit));
    }

    /// Notes that a sample of that time is there, in the database alone.
    pub(super) fn seen(&self, at: i64) {
        self.write(|state| state.newest = state.newest.max(at));
    }

    /// Takes a point, in the place of one of the same moment, and forgets those before `cutoff`.
    pub(super) fn push(&self, (at, value): Point, cutoff: i64) {
        self.write(|state| {
            state.newest = state.newest.max(at);
            if at >= state.held_from {
                state.insert(at, value);
            }
            state.trim(cutoff);
        });
    }

    /// Forgets points before `cutoff`.
    pub(super) fn trim(&self, cutoff: i64) {
        self.write(|state| state.trim(cutoff));
    }

    fn read<R>(&self, take: impl FnOnce(&State) -> R) -> R {
        take(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn insert(&mut self, at: i64, value: f64) {
        if self.points.back().is_none_or(|(last, _)| *last < at) {
            self.points.push_back((at, value));
        } else {
            match self.points.binary_search_by_key(&at, |(at, _)| *at) {
                Ok(there) => self.points[there].1 = value,
                Err(place) => self.points.insert(place, (at, value)),
            }
        }
        while self.points.len() > MOST_HELD {
            self.drop_oldest();
        }
    }

    fn trim(&mut self, cutoff: i64) {
        while self.points.front().is_some_and(|(at, _)| *at < cutoff) {
            self.drop_oldest();
        }
        self.held_from = self.held_from.max(cutoff);
    }

    fn drop_oldest(&mut self) {
        if let Some((at, _)) = self.points.pop_front() {
            self.held_from = self.held_from.max(at + 1);
        }
    }
}

/// A sample that is good and waits to be written.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Which of the request it is.
    pub index: usize,
    /// Of which series.
    pub key: SeriesKey,
    /// What it is measured in, if it says so.
    pub unit: Option<String>,
    /// When.
    pub at: Timestamp,
    /// How much.
    pub value: f64,
}

/// A series, as it is shown.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SeriesInfo {
    /// Its number.
    pub series_id: SeriesId,
    /// Whose it is.
    pub service_id: ServiceId,
    /// What was measured.
    pub metric_name: String,
    /// What its values are measured in.
    pub metric_unit: Option<String>,
    /// Of which part.
    pub tags: BTreeMap<String, String>,
    /// The time of its newest sample.
    pub last_timestamp: Option<Timestamp>,
}

impl From<&Series> for SeriesInfo {
    fn from(series: &Series) -> Self {
        let SeriesKey { service_id, metric_name, tags } = series.key().as_ref().clone();
        Self {
            series_id: series.series_id,
            service_id,
            metric_name,
            metric_unit: series.unit(),
            tags,
            last_timestamp: Timestamp::from_millis(series.newest()),
        }
    }
}

text_enum! {
    /// How the points of a step become one.
    pub enum Aggregate {
        /// Their mean.
        Avg = "avg",
        /// The least.
        Min = "min",
        /// The greatest.
        Max = "max",
        /// Their sum.
        Sum = "sum",
        /// How many.
        Count = "count",
        /// The newest.
        Last = "last",
        /// By how much a counter rose a second.
        Rate = "rate",
        /// By how much a counter rose.
        Increase = "increase",
    }
}

impl Aggregate {
    /// Whether it rests on the point before the range, too.
    pub fn looks_back(self) -> bool {
        matches!(self, Self::Rate | Self::Increase)
    }
}

/// Many series in columns: points of series `i` are `offsets[i]..offsets[i + 1]`, oldest first.
#[derive(Debug, Default, PartialEq)]
pub struct Columns {
    /// The number of each series.
    pub ids: Vec<u64>,
    /// One more than there are series.
    pub offsets: Vec<u32>,
    /// Milliseconds since 1970.
    pub times: Vec<i64>,
    /// The value at each.
    pub values: Vec<f64>,
}

impl Columns {
    /// For about so many series.
    pub(super) fn with_capacity(series: usize) -> Self {
        let mut offsets = Vec::with_capacity(series + 1);
        offsets.push(0);
        Self { ids: Vec::with_capacity(series), offsets, times: Vec::new(), values: Vec::new() }
    }

    pub(super) fn add(&mut self, id: SeriesId, points: impl Iterator<Item = Point>) {
        self.ids.push(u64::try_from(id.0).unwrap_or(0));
        for (at, value) in points {
            self.times.push(at);
            self.values.push(value);
        }
        self.offsets.push(u32::try_from(self.times.len()).unwrap_or(u32::MAX));
    }
}

/// What is counted, for `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Series that are known.
    pub series: u64,
    /// Points in memory.
    pub points: u64,
    /// Samples taken since the start.
    pub accepted: u64,
    /// Samples refused since the start.
    pub refused: u64,
}
