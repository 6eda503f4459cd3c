//! What is kept of a call to an evaluator.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RECORD_BYTES;
use crate::{
    clock::Timestamp,
    plugins::{EvalContext, EvalState, PluginRef, SeriesBatch, Verdicts},
};

/// A call to an evaluator that is to be kept.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// The rule it was for.
    pub rule_id: String,
    /// When it was made.
    pub recorded_at: Timestamp,
    /// What people call each series, in order.
    pub series: Vec<String>,
    /// When it was, and the configuration.
    pub context: EvalContext,
    /// The points.
    pub batch: Arc<SeriesBatch>,
    /// What the evaluator remembered.
    pub previous: Option<EvalState>,
    /// What it said, or how it failed.
    pub answer: Result<Verdicts, String>,
    /// Exactly which plugin.
    pub by: PluginRef,
}

/// A record as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Record {
    /// Its key; later ones sort after earlier ones.
    pub record_id: String,
    /// The rule it is of.
    pub rule_id: String,
    /// When the call was made.
    pub recorded_at: Timestamp,
    /// The plugin that was called.
    pub plugin_name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file, in hexadecimal.
    pub digest: String,
    /// How many series the call had.
    pub series: i64,
    /// The size of what is kept.
    pub bytes: i64,
    /// How the call failed, if it did.
    pub error: Option<String>,
    /// Why nothing of the call is kept, if nothing is.
    pub skipped: Option<String>,
}

/// A record with what was said on both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WholeRecord {
    /// What is listed of it.
    #[serde(flatten)]
    pub record: Record,
    /// What was said; absent when nothing is kept.
    pub exchange: Option<Exchange>,
}

/// What an evaluator was given and what it said, in columns as `wit/alerting` describes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Exchange {
    /// What the evaluator took for now.
    pub now: Timestamp,
    /// How often the rule is evaluated, in milliseconds.
    pub interval_ms: u32,
    /// The configuration, as text.
    pub config: String,
    /// What people call each series.
    pub series: Vec<String>,
    /// The number of each series.
    pub ids: Vec<u64>,
    /// Where the points of each series begin, and where the last one's end.
    pub offsets: Vec<u32>,
    /// When each point is, in milliseconds since the Unix epoch.
    pub times: Vec<i64>,
    /// The value of each point; null for one that is no number.
    #[schema(value_type = Vec<Option<f64>>)]
    pub values: Vec<Exact>,
    /// The labels of each series, if the evaluator wanted them.
    #[schema(value_type = Vec<Vec<Vec<String>>>)]
    pub labels: Vec<Vec<(String, String)>>,
    /// What the evaluator remembered.
    pub previous: Option<StateText>,
    /// What it said; absent when it failed.
    pub verdicts: Option<Judged>,
}

/// A number that comes out of JSON as it went in, to the last bit: a verdict may rest on it. No number is null.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exact(pub f64);

impl Serialize for Exact {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() { to.serialize_f64(self.0) } else { to.serialize_none() }
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // The reader of JSON rounds twice for long numbers; the standard library does not.
        let text = Box::<serde_json::value::RawValue>::deserialize(from)?;
        let number = if text.get() == "null" { Ok(f64::NAN) } else { text.get().parse() };
        number.map(Self).map_err(serde::de::Error::custom)
    }
}

/// What an evaluator remembers, a blob a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateText {
    /// The version of its form.
    pub version: u32,
    /// Where the state of each series begins, and where the last one's ends.
    pub offsets: Vec<u32>,
    /// The blob, in base64.
    pub blob: String,
}

/// What an evaluator said, in columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Judged {
    /// One a series: 0 normal, 1 breach, 2 warning, 3 critical, 255 cannot tell.
    pub levels: Vec<u8>,
    /// One a series: the value that the verdict rests on.
    #[schema(value_type = Vec<Option<f64>>)]
    pub scores: Vec<Exact>,
    /// Why: the index of a series, and a sentence.
    #[schema(value_type = Vec<Vec<serde_json::Value>>)]
    pub notes: Vec<(u32, String)>,
}

impl NewRecord {
    /// About how large the record will be.
    pub(super) fn estimate(&self) -> usize {
        let Self { series, context, batch, previous, .. } = self;
        let labels = batch.labels.iter().flatten().map(|(key, value)| key.len() + value.len() + 8).sum::<usize>();
        let names = series.iter().map(|name| name.len() + 3).sum::<usize>();
        let state = previous.as_ref().map_or(0, |state| state.blob.len() / 3 * 4 + state.offsets.len() * 5);
        context.config.len() + batch.ids.len() * 20 + batch.values.len() * 20 + labels + names + state
    }

    /// What is kept of it, or why nothing is.
    pub(super) fn encode(&self) -> Result<Vec<u8>, String> {
        let too_large = |bytes: usize| format!("the call has about {bytes} bytes, at most {RECORD_BYTES} are kept");
        // Numbers are often shorter than the estimate takes them for.
        if self.estimate() > RECORD_BYTES * 2 {
            return Err(too_large(self.estimate()));
        }
        let text = serde_json::to_vec(&self.exchange()).map_err(|error| error.to_string())?;
        if text.len() > RECORD_BYTES { Err(too_large(text.len())) } else { Ok(text) }
    }

    fn exchange(&self) -> Exchange {
        let Self { rule_id: _, recorded_at, series, context, batch, previous, answer, by: _ } = self;
        let SeriesBatch { ids, offsets, times, values, labels } = &**batch;
        Exchange {
            now: Timestamp::from_millis(context.now_ms).unwrap_or(*recorded_at),
            interval_ms: context.interval_ms,
            config: context.config.clone(),
            series: series.clone(),
            ids: ids.clone(),
            offsets: offsets.clone(),
            times: times.clone(),
            values: values.iter().copied().map(Exact).collect(),
            labels: labels.clone(),
            previous: previous.as_ref().map(StateText::of),
            verdicts: answer.as_ref().ok().map(Judged::of),
        }
    }
}

impl Exchange {
    /// What the evaluator is given again, with another configuration if there is one.
    pub(super) fn call(&self, config: Option<&str>) -> Result<(EvalContext, SeriesBatch, Option<EvalState>), String> {
        let Self { now, interval_ms, config: own, series: _, ids, offsets, times, values, labels, previous, .. } = self;
        let config = config.unwrap_or(own).to_owned();
        let context = EvalContext { now_ms: now.millis(), interval_ms: *interval_ms, config };
        let batch = SeriesBatch {
            ids: ids.clone(),
            offsets: offsets.clone(),
            times: times.clone(),
            values: values.iter().map(|value| value.0).collect(),
            labels: labels.clone(),
        };
        Ok((context, batch, previous.as_ref().map(StateText::state).transpose()?))
    }
}

impl StateText {
    /// A state as text.
    pub fn of(state: &EvalState) -> Self {
        Self { version: state.version, offsets: state.offsets.clone(), blob: STANDARD.encode(&state.blob) }
    }

    /// The state.
    pub fn state(&self) -> Result<EvalState, String> {
        let blob = STANDARD.decode(&self.blob).map_err(|error| format!("the state is not base64: {error}"))?;
        Ok(EvalState { version: self.version, offsets: self.offsets.clone(), blob })
    }
}

impl Judged {
    /// Verdicts without what the evaluator wants to remember.
    pub fn of(verdicts: &Verdicts) -> Self {
        let Verdicts { levels, scores, notes, next: _ } = verdicts;
        let scores = scores.iter().copied().map(Exact).collect();
        Self { levels: levels.clone(), scores, notes: notes.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn numbers_come_out_as_they_went_in(number: f64) {
            let text = serde_json::to_string(&Exact(number)).unwrap();
            let read: Exact = serde_json::from_str(&text).unwrap();
            let expected = if number.is_finite() { number } else { f64::NAN };
            assert_eq!(read.0.to_bits(), expected.to_bits(), "{text}");
        }
    }
}
