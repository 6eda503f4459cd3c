//! What evaluators remember of a series: each version its own, so that whoever comes back finds what it left, and whoever is new
//! begins with what the other remembers. A new version is asked beforehand whether it can read that.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::super::{
    EvalContext, EvalState, Plugins, Requirements, SeriesBatch,
    kinds::evaluator,
    load::Staged,
    refusal::{Blame, Why},
    types::{CallError, Kind, PluginName},
};
use super::parts;
use crate::clock::Timestamp;

/// How many configurations a new version is tried on.
const TRIED: usize = 50;

/// What one version of an evaluator remembers of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Digest of the version that wrote it; empty: not known.
    pub writer: String,
    /// The form that it is in, by the evaluator's own count.
    pub version: u32,
    /// The memory itself.
    pub state: Vec<u8>,
    /// When it was written.
    pub updated_at: Timestamp,
}

/// What the version of `reader` begins with: its own, or else what the version that serves left, or else the newest.
pub(super) fn pick<'a>(memories: &'a [Memory], reader: &str, serving: &str) -> Option<&'a Memory> {
    let of = |writer: &str| memories.iter().find(|memory| memory.writer == writer);
    of(reader).or_else(|| of(serving)).or_else(|| memories.iter().max_by_key(|memory| memory.updated_at))
}

/// Series that an evaluator judges now, with what is remembered of them.
pub struct Sample {
    /// When, how often, and with which configuration.
    pub context: EvalContext,
    /// The points.
    pub batch: Arc<SeriesBatch>,
    /// What is remembered of each series.
    pub remembered: Vec<Vec<Memory>>,
}

/// Gives a few series with what is remembered of them, for the owner of a configuration in use and what its evaluation needs;
/// nothing, when nothing is remembered.
pub type Samples =
    Box<dyn Fn(String, Requirements) -> BoxFuture<'static, anyhow::Result<Option<Sample>>> + Send + Sync>;

impl Plugins {
    /// Says where samples of what evaluators remember come from. Once, before anything is taken.
    pub fn sample_states_from(&self, samples: Samples) {
        // Whoever came first stays.
        let _ = self.0.samples.set(samples);
    }

    /// The versions of an evaluator whose memories are to be kept: what serves, what is on its way, and what may come back.
    pub fn remembering(&self, name: &PluginName) -> Vec<String> {
        self.slot(name).map(|slot| slot.remembering()).unwrap_or_default()
    }

    /// Says in words why a version cannot go on from what is remembered now.
    pub(in crate::plugins) async fn try_states(&self, staged: &Staged) -> Result<(), Why> {
        let (Some(samples), true) = (self.0.samples.get(), staged.kind() == Kind::AlertEvaluator) else {
            return Ok(());
        };
        let release = staged.release();
        let name = &release.plugin.name;
        let Some(serving) = self.digest(name) else { return Ok(()) };
        for (owner, config) in self.configs_in_use(name).into_iter().take(TRIED) {
            let needs = evaluator::plan(&release.version, &config).await;
            let needs =
                needs.map_err(|error| Why::call(staged.kind(), &format!("it cannot plan for {owner}"), &error))?;
            if !needs.state {
                continue;
            }
            let sample = samples(owner.clone(), needs).await;
            let unread = |error| format!("what is remembered of {owner} could not be read: {error:#}");
            let sample = sample.map_err(|error: anyhow::Error| Why::new(Blame::Host, unread(error)))?;
            let Some(Sample { context, batch, remembered }) = sample else { continue };
            let picked: Vec<Option<&Memory>> =
                remembered.iter().map(|memories| pick(memories, &release.plugin.digest, &serving)).collect();
            for (version, picks) in parts::by_form(&picked) {
                let part = Arc::new(parts::select(&batch, &picks));
                let previous: EvalState = parts::pack(version, picks.iter().map(|n| picked[*n]));
                let answer = evaluator::evaluate(&release.version, context.clone(), part, Some(previous)).await;
                answer.map(drop).map_err(|error| told(&owner, version, &error))?;
            }
        }
        Ok(())
    }
}

fn told(owner: &str, version: u32, error: &CallError) -> Why {
    match error {
        CallError::InvalidInput(why) => {
            let reason = format!("it cannot read what is remembered of {owner} (in form {version}): {why}");
            Why::new(Blame::Use, reason)
        }
        error => {
            let what = format!("it fails on what is remembered of {owner} (in form {version})");
            Why::call(Kind::AlertEvaluator, &what, error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(writer: &str, at: i64) -> Memory {
        let updated_at = Timestamp::from_millis(at).unwrap();
        Memory { writer: writer.to_owned(), version: 1, state: Vec::new(), updated_at }
    }

    #[test]
    fn whoever_comes_back_finds_what_it_left() {
        let memories = [memory("old", 1), memory("new", 9)];
        let picked = |reader, serving| pick(&memories, reader, serving).map(|memory| memory.writer.as_str());
        assert_eq!(picked("old", "old"), Some("old"));
        assert_eq!(picked("newer", "old"), Some("old"), "a new one begins with what serves");
        assert_eq!(picked("newer", "newer"), Some("new"), "or else with the newest");
        assert_eq!(pick(&[], "old", "old"), None);
    }
}
