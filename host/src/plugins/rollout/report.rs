//! What is counted of two versions beside each other: calls, failures, time, and differences. Reports of several replicas add up.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::plugins::types::CallError;

/// Differences that are kept in full.
const EXAMPLES: usize = 20;
/// Failures one after another that are too many.
pub(super) const IN_A_ROW: u32 = 5;

/// How long calls took: counts in buckets that are a quarter of a doubling wide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Histogram(BTreeMap<u32, u64>);

impl Histogram {
    pub(super) fn note(&mut self, took: Duration) {
        let micros = took.as_secs_f64() * 1e6;
        // From 0 on, and below a few hundred for any time there is.
        let bucket = ((micros + 1.0).log2() * 4.0) as u32;
        *self.0.entry(bucket).or_default() += 1;
    }

    fn add(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            *self.0.entry(*bucket).or_default() += count;
        }
    }

    fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// Microseconds that this share of the calls did not exceed, to a fifth; `None` without a call.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in &self.0 {
            seen += count;
            if seen >= wanted {
                return Some(2f64.powf((f64::from(*bucket) + 0.5) / 4.0) - 1.0);
            }
        }
        None
    }
}

/// Calls of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::plugins) struct Tally {
    pub(super) calls: u64,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) latency: Histogram,
}

impl Tally {
    /// Counts a call. That there was no room says nothing of a version.
    pub(in crate::plugins) fn note(&mut self, failed: Option<&CallError>, took: Duration) {
        if failed == Some(&CallError::Busy) {
            return;
        }
        self.calls += 1;
        self.latency.note(took);
        if let Some(error) = failed {
            *self.errors.entry(kind_of(error).to_owned()).or_default() += 1;
        }
    }

    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.latency.add(&other.latency);
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
    }

    pub(super) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    pub(super) fn failed_percent(&self) -> f64 {
        percent(self.failed(), self.calls)
    }

    fn shown(&self) -> Counted {
        let (p50, p99) = (self.latency.quantile(0.5), self.latency.quantile(0.99));
        Counted { calls: self.calls, failed: self.failed(), errors: self.errors.clone(), p50_us: p50, p99_us: p99 }
    }
}

/// The kind of a failure, in a word.
fn kind_of(error: &CallError) -> &'static str {
    match error {
        CallError::Trap(_) => "trap",
        CallError::Timeout => "timeout",
        CallError::Limit(_) => "limit",
        CallError::Contract(_) => "contract",
        CallError::InvalidConfig(_) => "invalid-config",
        CallError::InvalidInput(_) => "invalid-input",
        CallError::Transient { .. } => "transient",
        CallError::Permanent(_) => "permanent",
        CallError::Unknown(_) | CallError::WrongKind { .. } | CallError::NotServing { .. } => "not-serving",
        CallError::Busy => "busy",
    }
}

/// Two versions side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Pair {
    /// The one that serves, or served before.
    pub(super) serving: Tally,
    /// The new one.
    pub(super) candidate: Tally,
}

impl Pair {
    fn add(&mut self, other: &Self) {
        self.serving.add(&other.serving);
        self.candidate.add(&other.candidate);
    }

    /// How many times as long calls of the new version take, by the median.
    pub(super) fn latency_ratio(&self) -> Option<f64> {
        let (serving, candidate) = (self.serving.latency.quantile(0.5)?, self.candidate.latency.quantile(0.5)?);
        Some(candidate / serving.max(1.0))
    }

    fn shown(&self) -> SideBySide {
        SideBySide {
            serving: self.serving.shown(),
            candidate: self.candidate.shown(),
            latency_ratio: self.latency_ratio(),
        }
    }
}

/// One call that two versions answered in different ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PluginDifference)]
pub struct Difference {
    /// Of which key: `rule/series`, a project, a document.
    pub key: String,
    /// What differs.
    pub what: String,
    /// What the version that serves said.
    pub serving: String,
    /// What the new one said.
    pub candidate: String,
}

/// Everything that was seen of a candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Report {
    /// Calls that both ran with the same input.
    pub(super) shadow: Pair,
    /// How many of them were answered in different ways.
    pub(super) differing: u64,
    /// Calls that were not run beside, for want of time.
    pub(super) skipped: u64,
    /// Calls that the version that serves answered in two ways when asked twice.
    pub(super) serving_wavers: u64,
    /// The same of the new one.
    pub(super) candidate_wavers: u64,
    pub(super) examples: Vec<Difference>,
    /// While it serves a share.
    pub(super) canary: Pair,
    /// Since the swap; beside it stands the version before, as long as this replica had it.
    pub(super) guard: Pair,
    /// Why it was cut off at once, if it was.
    pub(super) tripped: Option<String>,
}

/// What came of a call that ran beside another.
pub(super) enum Compared {
    Same,
    Differs(Difference),
    /// The version that serves does not agree with itself.
    ServingWavers,
    /// The new one does not agree with itself, nor with the other.
    CandidateWavers(Difference),
    Failed(CallError),
}

impl Report {
    /// Adds what another replica has seen.
    pub(super) fn add(&mut self, other: &Self) {
        let Self { shadow, differing, skipped, serving_wavers, candidate_wavers, examples, canary, guard, tripped } =
            other;
        self.shadow.add(shadow);
        self.canary.add(canary);
        self.guard.add(guard);
        self.differing += differing;
        self.skipped += skipped;
        self.serving_wavers += serving_wavers;
        self.candidate_wavers += candidate_wavers;
        self.examples.extend(examples.iter().cloned());
        self.examples.truncate(EXAMPLES);
        self.tripped = self.tripped.take().or_else(|| tripped.clone());
    }

    /// Counts a call that ran beside another.
    pub(super) fn compared(&mut self, compared: Compared, serving: Duration, candidate: Duration) {
        let failed = match compared {
            Compared::Failed(error) => Some(error),
            Compared::Same => None,
            Compared::ServingWavers => {
                self.serving_wavers += 1;
                None
            }
            Compared::Differs(difference) => self.differs(difference),
            Compared::CandidateWavers(difference) => {
                self.candidate_wavers += 1;
                self.differs(difference)
            }
        };
        self.shadow.serving.note(None, serving);
        self.shadow.candidate.note(failed.as_ref(), candidate);
    }

    fn differs(&mut self, difference: Difference) -> Option<CallError> {
        self.differing += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(difference);
        }
        None
    }

    pub(super) fn differing_percent(&self) -> f64 {
        percent(self.differing, self.shadow.candidate.calls)
    }

    /// As people see it.
    pub(super) fn shown(&self) -> Seen {
        Seen {
            calls: self.shadow.candidate.calls,
            differing: self.differing,
            difference_percent: self.differing_percent(),
            skipped: self.skipped,
            serving_wavers: self.serving_wavers,
            candidate_wavers: self.candidate_wavers,
            differences: self.examples.clone(),
            shadow: self.shadow.shown(),
            canary: self.canary.shown(),
            guard: self.guard.shown(),
        }
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Calls of one version, counted.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PluginCallsCounted)]
pub struct Counted {
    /// Calls.
    pub calls: u64,
    /// How many of them failed.
    pub failed: u64,
    /// Those, by kind: `trap`, `timeout`, `limit`, `contract`, `invalid-input` and so on.
    pub errors: BTreeMap<String, u64>,
    /// Microseconds that half of them took at most.
    pub p50_us: Option<f64>,
    /// Microseconds that 99 of 100 took at most.
    pub p99_us: Option<f64>,
}

/// Two versions side by side.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PluginSideBySide)]
pub struct SideBySide {
    /// The version that serves, or served before.
    pub serving: Counted,
    /// The new one.
    pub candidate: Counted,
    /// How many times as long calls of the new one take, by the median.
    pub latency_ratio: Option<f64>,
}

/// Everything that was seen of a candidate, on all replicas.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PluginSeen)]
pub struct Seen {
    /// Calls that ran beside those of the version that serves.
    pub calls: u64,
    /// How many of them were answered in another way.
    pub differing: u64,
    /// The same in percent.
    pub difference_percent: f64,
    /// Calls that were not run beside, for want of time.
    pub skipped: u64,
    /// Calls that the version that serves answers in two ways when asked twice; they count as no difference.
    pub serving_wavers: u64,
    /// Differing calls that the new version answers in two ways when asked twice.
    pub candidate_wavers: u64,
    /// The first differences.
    pub differences: Vec<Difference>,
    /// Both with the same input.
    pub shadow: SideBySide,
    /// Each with its own share of the keys.
    pub canary: SideBySide,
    /// The new version since it serves, and the one before.
    pub guard: SideBySide,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_a_fifth() {
        let mut histogram = Histogram::default();
        for micros in 1..=1000 {
            histogram.note(Duration::from_micros(micros));
        }
        for (share, true_value) in [(0.5, 500.0), (0.99, 990.0)] {
            let told = histogram.quantile(share).unwrap();
            assert!((told / true_value - 1.0).abs() < 0.2, "{told} for {true_value}");
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn reports_of_replicas_add_up_as_if_one_had_seen_it_all() {
        let (mut one, mut other, mut all) = (Report::default(), Report::default(), Report::default());
        for n in 0..30_u64 {
            let compared = || match n % 3 {
                0 => Compared::Same,
                1 => Compared::ServingWavers,
                _ => Compared::Failed(CallError::Timeout),
            };
            let (serving, candidate) = (Duration::from_micros(n), Duration::from_micros(n * 7));
            if n % 2 == 0 { &mut one } else { &mut other }.compared(compared(), serving, candidate);
            all.compared(compared(), serving, candidate);
        }
        one.add(&other);
        assert_eq!(one, all);
        assert_eq!(one.shadow.candidate.failed(), 10);
    }
}
