//! Running a version of an evaluator on what was kept, and telling where it says something else.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    queries,
    types::{Exchange, Judged, Record, WholeRecord},
};
use crate::{
    app::App,
    http::error::{ApiError, ApiResult, Faults},
    plugins::{
        CallError, Kind, PluginName, PluginRef, Plugins,
        kinds::{evaluator, lifecycle},
        queries as versions,
        version::Version,
    },
    text_enum,
};

/// Differences that are told of one record, and of all.
const A_RECORD: usize = 100;
const ALL: usize = 1_000;
/// How long one replay on a server goes on.
const PATIENCE: Duration = Duration::from_secs(20);
/// How far two scores may be apart, of the larger one, and be the same.
const ROUNDING: f64 = 1e-9;
/// After every key.
const NEWEST: &str = "~";

/// Which records a version is run on.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The rule whose records they are.
    pub rule_id: String,
    /// The latest so many, 1 to 1000; 100 when absent.
    #[serde(default)]
    pub last: Option<i64>,
}

text_enum! {
    /// What came of one record.
    pub enum ReplayOutcome {
        /// The same verdicts, scores and notes, or the same failure.
        Same = "same",
        /// Something else.
        Differs = "differs",
        /// It fails, and did not then.
        Failed = "failed",
        /// Nothing is kept of the call.
        Skipped = "skipped",
    }
}

/// What is said of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Said {
    /// `normal`, `breach`, `warning`, `critical` or `unknown`.
    pub verdict: String,
    /// The value that it rests on.
    pub score: Option<f64>,
    /// Why.
    pub note: Option<String>,
}

/// A series of which something else is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// What people call the series.
    pub series: String,
    /// What was said then.
    pub recorded: Said,
    /// What is said now.
    pub now: Said,
}

/// What came of one record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Replayed {
    /// The record.
    pub record_id: String,
    /// When it was made.
    pub recorded_at: crate::clock::Timestamp,
    /// The version that was called then.
    pub version: String,
    /// Its digest.
    pub digest: String,
    /// How many series it has.
    pub series: i64,
    /// What came of it.
    pub outcome: ReplayOutcome,
    /// Why, where verdicts do not tell it.
    pub says: Option<String>,
    /// How many series differ.
    pub differing: usize,
    /// Those series; at most 100 a record, and 1000 in all.
    pub differences: Vec<Difference>,
}

/// What came of all of them, the latest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReplayReport {
    /// Exactly which version was run.
    #[schema(value_type = Object)]
    pub plugin: PluginRef,
    /// How many records it was run on.
    pub records: usize,
    /// How many came out the same.
    pub same: usize,
    /// How many differ.
    pub differs: usize,
    /// On how many it failed.
    pub failed: usize,
    /// Of how many nothing is kept.
    pub skipped: usize,
    /// Why it ended before the last record, if it did.
    pub stopped: Option<String>,
    /// Record by record.
    pub items: Vec<Replayed>,
}

/// A version that is run on records. What it does is not held against the plugin.
pub struct Rerun {
    version: Version,
    config: Option<String>,
    report: ReplayReport,
    told: usize,
}

impl Plugins {
    /// Begins to run the version that serves on records, with another configuration than the recorded one if there is one.
    pub fn rerun(&self, name: &PluginName, config: Option<String>) -> Result<Rerun, CallError> {
        let release = self.slot(name).and_then(|slot| slot.current());
        let release = release.ok_or_else(|| CallError::Unknown(name.to_string()))?;
        Rerun::new(release.version.clone(), release.plugin.clone(), config)
    }
}

impl Rerun {
    fn new(version: Version, plugin: PluginRef, config: Option<String>) -> Result<Self, CallError> {
        let (name, is) = (plugin.name.clone(), version.kind());
        if is != Kind::AlertEvaluator {
            return Err(CallError::WrongKind { name, is, wanted: Kind::AlertEvaluator });
        }
        let report = ReplayReport {
            plugin,
            records: 0,
            same: 0,
            differs: 0,
            failed: 0,
            skipped: 0,
            stopped: None,
            items: Vec::new(),
        };
        Ok(Self { version, config, report, told: 0 })
    }

    /// Runs it on one record.
    pub async fn take(&mut self, WholeRecord { record, exchange }: WholeRecord) {
        let mut item = self.one(&record, exchange).await;
        item.differences.truncate(A_RECORD.min(ALL - self.told));
        self.told += item.differences.len();
        self.report.records += 1;
        *match item.outcome {
            ReplayOutcome::Same => &mut self.report.same,
            ReplayOutcome::Differs => &mut self.report.differs,
            ReplayOutcome::Failed => &mut self.report.failed,
            ReplayOutcome::Skipped => &mut self.report.skipped,
        } += 1;
        self.report.items.push(item);
    }

    /// What came of all of them.
    pub fn finish(self) -> ReplayReport {
        self.report
    }

    async fn one(&self, record: &Record, exchange: Option<Exchange>) -> Replayed {
        let Some(exchange) = exchange else {
            let why = record.skipped.clone().unwrap_or_else(|| "the record is gone".to_owned());
            return replayed(record, ReplayOutcome::Skipped, Some(why), Vec::new());
        };
        let call = match exchange.call(self.config.as_deref()) {
            Ok(call) => call,
            Err(why) => return replayed(record, ReplayOutcome::Skipped, Some(why), Vec::new()),
        };
        let (context, batch, previous) = call;
        let now = evaluator::evaluate(&self.version, context, Arc::new(batch), previous).await;
        match (exchange.verdicts, now) {
            (Some(then), Ok(now)) => {
                let differences = compare(&exchange.series, &then, &Judged::of(&now));
                let outcome = if differences.is_empty() { ReplayOutcome::Same } else { ReplayOutcome::Differs };
                replayed(record, outcome, None, differences)
            }
            (None, Err(now)) if record.error.as_ref() == Some(&now.to_string()) => {
                replayed(record, ReplayOutcome::Same, Some(format!("it fails as it did: {now}")), Vec::new())
            }
            (_, Err(now)) => replayed(record, ReplayOutcome::Failed, Some(now.to_string()), Vec::new()),
            (None, Ok(_)) => {
                let then = record.error.as_deref().unwrap_or("it did not answer");
                replayed(record, ReplayOutcome::Differs, Some(format!("it answers; then: {then}")), Vec::new())
            }
        }
    }
}

fn replayed(record: &Record, outcome: ReplayOutcome, says: Option<String>, differences: Vec<Difference>) -> Replayed {
    let Record { record_id, recorded_at, version, digest, series, .. } = record.clone();
    let differing = differences.len();
    Replayed { record_id, recorded_at, version, digest, series, outcome, says, differing, differences }
}

fn compare(names: &[String], then: &Judged, now: &Judged) -> Vec<Difference> {
    let notes = |said: &Judged| said.notes.iter().cloned().collect::<HashMap<u32, String>>();
    let (notes_then, notes_now) = (notes(then), notes(now));
    let said = |judged: &Judged, notes: &HashMap<u32, String>, at: usize| Said {
        verdict: verdict(judged.levels.get(at).copied()).to_owned(),
        score: judged.scores.get(at).map(|score| score.0).filter(|score| score.is_finite()),
        note: u32::try_from(at).ok().and_then(|at| notes.get(&at).cloned()),
    };
    let each = (0..then.levels.len().max(now.levels.len())).filter_map(|at| {
        let (recorded, now) = (said(then, &notes_then, at), said(now, &notes_now, at));
        let series = names.get(at).cloned().unwrap_or_else(|| at.to_string());
        (!recorded.is_like(&now)).then_some(Difference { series, recorded, now })
    });
    each.collect()
}

impl Said {
    /// Whether both say the same: scores that differ by rounding are one.
    fn is_like(&self, other: &Self) -> bool {
        let close = |a: f64, b: f64| (a - b).abs() <= ROUNDING * a.abs().max(b.abs());
        let scores = match (self.score, other.score) {
            (Some(one), Some(another)) => close(one, another),
            (one, another) => one == another,
        };
        scores && self.verdict == other.verdict && self.note == other.note
    }
}

fn verdict(level: Option<u8>) -> &'static str {
    match level {
        Some(0) => "normal",
        Some(1) => "breach",
        Some(2) => "warning",
        Some(3) => "critical",
        Some(255) => "unknown",
        _ => "nothing",
    }
}

/// Runs a version that this server knows (the one that serves, when no digest says which) on the records of a rule.
pub(in crate::plugins) async fn run(
    app: &App,
    name: &PluginName,
    replay: &Replay,
    digest: Option<&str>,
    config: &Value,
) -> ApiResult<ReplayReport> {
    let last = replay.last.unwrap_or(100);
    if !(1..=1000).contains(&last) {
        return Err(Faults::one("/replay/last", "must be 1 to 1000").into());
    }
    let config = (!config.is_null()).then(|| config.to_string());
    let mut rerun = match digest {
        None => app.plugins.rerun(name, config)?,
        Some(digest) => {
            let (version, plugin) = version(app, name, digest).await?;
            Rerun::new(version, plugin, config)?
        }
    };
    let began = Instant::now();
    for record in queries::list(&mut app.db.read().await?, &replay.rule_id, NEWEST, last).await? {
        if began.elapsed() > PATIENCE {
            rerun.report.stopped = Some(format!("it took more than {} s: ask for fewer records", PATIENCE.as_secs()));
            break;
        }
        let exchange = queries::exchange(&mut app.db.read().await?, &record.record_id).await?;
        rerun.take(WholeRecord { record, exchange }).await;
    }
    Ok(rerun.finish())
}

/// A version whose file is kept, ready to be called.
async fn version(app: &App, name: &PluginName, digest: &str) -> ApiResult<(Version, PluginRef)> {
    let slot = app.plugins.slot(name).ok_or_else(|| ApiError::NotFound("plugin".to_owned()))?;
    let mut on = app.db.read().await?;
    let gone = || Faults::one("/digest", format!("is no version of {name} whose file is kept"));
    versions::version(&mut on, name, digest).await?.ok_or_else(gone)?;
    let wasm = versions::file(&mut on, digest).await?.ok_or_else(gone)?;
    drop(on);
    let version = app.plugins.version(&slot.own, &wasm.into(), &slot.grants()).await;
    let version = version.map_err(|why| Faults::one("/digest", why.reason))?;
    let descriptor = lifecycle::describe(&version).await?;
    let plugin = PluginRef { name: name.clone(), version: descriptor.version, digest: digest.to_owned() };
    Ok((version, plugin))
}

#[cfg(test)]
mod tests {
    use super::{super::types::Exact, *};

    fn judged(levels: &[u8], scores: &[f64], notes: &[(u32, &str)]) -> Judged {
        let notes = notes.iter().map(|(at, note)| (*at, (*note).to_owned())).collect();
        Judged { levels: levels.to_vec(), scores: scores.iter().copied().map(Exact).collect(), notes }
    }

    #[test]
    fn what_is_said_differently_is_told_with_its_series() {
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let then = judged(&[0, 1, 255], &[1.0, 95.0, 0.0], &[(1, "over")]);
        assert_eq!(compare(&names, &then, &then), []);
        let now = judged(&[0, 1, 255], &[1.0, 95.0, 0.0], &[]);
        let differences = compare(&names, &then, &now);
        assert_eq!((differences.len(), differences[0].series.as_str()), (1, "b"));
        assert_eq!((differences[0].recorded.note.as_deref(), &differences[0].now.note), (Some("over"), &None));
        let now = judged(&[1, 1, 255], &[1.0, 96.0, 0.0], &[(1, "over")]);
        let told: Vec<_> = compare(&names, &then, &now).into_iter().map(|d| (d.series, d.now.verdict)).collect();
        assert_eq!(told, [("a".to_owned(), "breach".to_owned()), ("b".to_owned(), "breach".to_owned())]);
    }
}
