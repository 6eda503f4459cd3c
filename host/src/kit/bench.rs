//! How long a plugin takes, on the real host: an evaluator on series in columns, any other on the input of its cases.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::Value;

use super::{cases::Case, workbench::Workbench};
use crate::plugins::{CallError, EvalContext, EvalState, Kind, PluginName, Requirements, SeriesBatch};

/// Calls before the clock counts.
const WARM_UP: usize = 20;
/// Points of a series, for an evaluator that looks back.
const POINTS: u64 = 60;

/// What was measured of one call.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was called with what.
    pub what: String,
    /// How many series a call had, if that says something.
    pub series: Option<u64>,
    /// How many calls were made.
    pub calls: usize,
    /// The quickest.
    pub min: Duration,
    /// Half were quicker.
    pub median: Duration,
    /// All but one of a hundred were quicker.
    pub p99: Duration,
}

/// Measures a plugin for about `time` each way of calling it. `case` gives its configuration, and its input.
pub async fn measure(
    bench: &Workbench,
    plugin: &PluginName,
    case: &Case,
    time: Duration,
) -> anyhow::Result<Vec<Measured>> {
    let kind = bench.plugins.kind_of(plugin).context("the plugin is not loaded")?;
    let config = if case.config.is_null() { "{}".to_owned() } else { case.config.to_string() };
    if kind == Kind::AlertEvaluator {
        let needs = bench.plugins.plan(plugin, &config).await?;
        let evaluator = Evaluator { bench, plugin, config, needs };
        let mut all = Vec::new();
        for series in [0, 1, 1_000] {
            all.push(evaluator.measure(series, time).await?);
        }
        return Ok(all);
    }
    let check = async || bench.plugins.check(plugin, kind, &config).await.map(drop);
    let call = async || call(bench, plugin, case).await.map(drop);
    let empty = repeat("check: a call that does little, beside it", None, time, check).await?;
    let own = repeat(&format!("case: {}", case.name), None, time, call).await?;
    Ok(vec![empty, own])
}

async fn call(bench: &Workbench, plugin: &PluginName, case: &Case) -> Result<Value, CallError> {
    let now = case.now.unwrap_or(bench.now);
    bench.plugins.try_out(plugin, case.config.clone(), case.input.clone(), now).await
}

async fn repeat(
    what: &str,
    series: Option<u64>,
    time: Duration,
    call: impl AsyncFn() -> Result<(), CallError>,
) -> anyhow::Result<Measured> {
    for _ in 0..WARM_UP {
        call().await?;
    }
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < time || took.len() < 10 {
        let one = Instant::now();
        call().await?;
        took.push(one.elapsed());
    }
    took.sort_unstable();
    let place = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)];
    let (calls, min, median, p99) = (took.len(), place(0), place(50), place(99));
    Ok(Measured { what: what.to_owned(), series, calls, min, median, p99 })
}

struct Evaluator<'a> {
    bench: &'a Workbench,
    plugin: &'a PluginName,
    config: String,
    needs: Requirements,
}

impl Evaluator<'_> {
    async fn measure(&self, series: u64, time: Duration) -> anyhow::Result<Measured> {
        let batch = Arc::new(self.batch(series));
        // What it wants to remember comes back, as in service.
        let previous = self.evaluate(&batch, None).await?;
        let call = async || self.evaluate(&batch, previous.clone()).await.map(drop);
        let points = if self.needs.lookback_ms == 0 { 1 } else { POINTS };
        let what = match series {
            0 => "no series: an empty call, beside it".to_owned(),
            n => format!("{n} series of {points} points"),
        };
        repeat(&what, Some(series), time, call).await
    }

    async fn evaluate(
        &self,
        batch: &Arc<SeriesBatch>,
        previous: Option<EvalState>,
    ) -> Result<Option<EvalState>, CallError> {
        let now_ms = self.bench.now.millis();
        let context = EvalContext { now_ms, interval_ms: 10_000, config: self.config.clone() };
        let answer = self.bench.plugins.evaluate(self.plugin, context, Arc::clone(batch), previous).await?;
        Ok(answer.verdicts.next)
    }

    fn batch(&self, series: u64) -> SeriesBatch {
        let points = if self.needs.lookback_ms == 0 { 1 } else { POINTS };
        let mut batch = SeriesBatch {
            ids: Vec::new(),
            offsets: vec![0],
            times: Vec::new(),
            values: Vec::new(),
            labels: Vec::new(),
        };
        let step = i64::try_from(self.needs.lookback_ms / points).unwrap_or(0);
        for id in 0..series {
            batch.ids.push(id);
            for point in 0..points {
                let back = i64::try_from(points - point).unwrap_or(0);
                batch.times.push(self.bench.now.millis() - step * back);
                // Numbers that differ, the same on each run.
                batch.values.push(((id * 37 + point * 11) % 100) as f64);
            }
            batch.offsets.push(u32::try_from(batch.values.len()).unwrap_or(u32::MAX));
            if self.needs.labels {
                batch.labels.push(vec![
                    ("service_id".to_owned(), format!("service-{id}")),
                    ("zone".to_owned(), "a".to_owned()),
                ]);
            }
        }
        batch
    }
}
