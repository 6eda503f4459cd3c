//! Trying an evaluator: series and what it remembers come as JSON, verdicts and what it wants to remember go out as JSON.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{EvalContext, EvalState, Evaluated, PluginName, Plugins, SeriesBatch, types::CallError};
use crate::clock::Timestamp;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EvaluatorInput {
    now: Option<Timestamp>,
    #[serde(default = "ten")]
    interval_seconds: u32,
    series: Vec<SeriesInput>,
    /// What it said it wants to remember, as the answer before had it in `next`.
    previous: Option<Memory>,
}

fn ten() -> u32 {
    10
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeriesInput {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    points: Vec<(Timestamp, f64)>,
}

/// What an evaluator remembers: one text a series, in hexadecimal.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    version: u32,
    series: Vec<String>,
}

pub(super) async fn evaluate(
    plugins: &Plugins,
    name: &PluginName,
    config: String,
    input: EvaluatorInput,
    now: Timestamp,
) -> Result<Value, CallError> {
    let EvaluatorInput { now: at, interval_seconds, series, previous } = input;
    let count = series.len();
    let context =
        EvalContext { now_ms: at.unwrap_or(now).millis(), interval_ms: interval_seconds.saturating_mul(1_000), config };
    let previous = previous.map(|previous| previous.state(count)).transpose()?;
    let Evaluated { verdicts, by } = plugins.evaluate(name, context, Arc::new(batch(series)), previous).await?;
    let notes: BTreeMap<u32, String> = verdicts.notes.into_iter().collect();
    let each = |i: usize| {
        let note = u32::try_from(i).ok().and_then(|i| notes.get(&i));
        json!({"level": verdicts.levels[i], "score": verdicts.scores[i], "note": note})
    };
    let next = verdicts.next.as_ref().map(Memory::of);
    Ok(json!({"verdicts": (0..count).map(each).collect::<Vec<_>>(), "next": next, "plugin": by}))
}

fn batch(series: Vec<SeriesInput>) -> SeriesBatch {
    let mut batch =
        SeriesBatch { ids: Vec::new(), offsets: vec![0], times: Vec::new(), values: Vec::new(), labels: Vec::new() };
    for (id, SeriesInput { labels, points }) in (0_u64..).zip(series) {
        batch.ids.push(id);
        batch.labels.push(labels.into_iter().collect());
        for (at, value) in points {
            batch.times.push(at.millis());
            batch.values.push(value);
        }
        batch.offsets.push(u32::try_from(batch.values.len()).unwrap_or(u32::MAX));
    }
    batch
}

impl Memory {
    fn of(state: &EvalState) -> Self {
        let EvalState { version, offsets, blob } = state;
        let part = |ends: &[u32]| blob.get(ends[0] as usize..ends[1] as usize).unwrap_or_default();
        Self { version: *version, series: offsets.windows(2).map(|ends| hex::encode(part(ends))).collect() }
    }

    fn state(self, count: usize) -> Result<EvalState, CallError> {
        let Self { version, series } = self;
        if series.len() != count {
            return Err(CallError::InvalidInput(format!(
                "previous: of {} series, and there are {count}",
                series.len()
            )));
        }
        let mut state = EvalState { version, offsets: vec![0], blob: Vec::new() };
        for text in series {
            let part = hex::decode(text).map_err(|error| CallError::InvalidInput(format!("previous: {error}")))?;
            state.blob.extend(part);
            state.offsets.push(u32::try_from(state.blob.len()).unwrap_or(u32::MAX));
        }
        Ok(state)
    }
}
