//! What the calls of an evaluation are kept under, for rules that want them kept.

use std::sync::Arc;

use crate::{alerts::rules::Rule, clock::Timestamp, metrics::Series, plugins::Keeping};

/// Whether the calls of an evaluation are kept, and when it was.
pub(super) struct Tape(Option<Timestamp>);

impl Tape {
    /// Keeps nothing.
    pub(super) fn off() -> Self {
        Self(None)
    }

    /// Keeps what the rule wants to have kept.
    pub(super) fn of(rule: &Rule, now: Timestamp) -> Self {
        Self((rule.spec.record > 0).then_some(now))
    }

    /// What a call about these series is kept under, if it is.
    pub(super) fn keeping(&self, series: &[Arc<Series>]) -> Option<Keeping> {
        let recorded_at = self.0?;
        Some(Keeping { recorded_at, series: series.iter().map(|series| name(series)).collect() })
    }
}

/// What people call a series: whose it is, and of which part.
fn name(series: &Series) -> String {
    let tags: Vec<String> = series.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    match tags.as_slice() {
        [] => series.service_id.to_string(),
        tags => format!("{}{{{}}}", series.service_id, tags.join(",")),
    }
}
