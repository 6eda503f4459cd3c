//! The state machine of one series under one rule: pure, and the only place that says when an alert fires and ends.
//!
//! ```text
//! normal ──breach──▶ pending ──breach for `hold`──▶ firing ──normal for `keep`──▶ normal
//!           pending ──normal──▶ normal              firing ──breach──▶ firing, at its new level
//! ```
//!
//! A verdict that cannot tell changes nothing. Time is wall time and what is pending is stored, so a pause of the server
//! counts: a breach before and a breach after are taken as one that lasted.

use std::time::Duration;

use crate::{clock::Timestamp, notify::Severity};

/// What an evaluator says of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Normal,
    /// It is not.
    Breach(Severity),
    /// It cannot be told.
    Unknown,
}

impl Verdict {
    /// Reads a level of the contract with evaluators; a breach that names no severity has that of the rule.
    pub fn from_level(level: u8, of_rule: Severity) -> Self {
        match level {
            0 => Self::Normal,
            1 => Self::Breach(of_rule),
            2 => Self::Breach(Severity::Warning),
            3 => Self::Breach(Severity::Critical),
            _ => Self::Unknown,
        }
    }
}

/// Where a series stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is no alert.
    Normal,
    /// There is one that may come to fire.
    Pending {
        /// When the breach began.
        since: Timestamp,
        /// How bad it is.
        level: Severity,
    },
    /// There is one that fires.
    Firing {
        /// How bad it is.
        level: Severity,
        /// Since when all is well again.
        clear_since: Option<Timestamp>,
    },
}

/// How long a breach must last to fire, and how long it must be over to end.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// `for_seconds`.
    pub hold: Duration,
    /// `keep_firing_seconds`.
    pub keep: Duration,
}

/// The phase after a verdict at `now`.
pub fn step(phase: Phase, verdict: Verdict, now: Timestamp, timing: Timing) -> Phase {
    match (phase, verdict) {
        (phase, Verdict::Unknown) => phase,
        (Phase::Normal, Verdict::Normal) | (Phase::Pending { .. }, Verdict::Normal) => Phase::Normal,
        (Phase::Normal, Verdict::Breach(level)) => held(now, level, now, timing),
        (Phase::Pending { since, .. }, Verdict::Breach(level)) => held(since, level, now, timing),
        (Phase::Firing { .. }, Verdict::Breach(level)) => Phase::Firing { level, clear_since: None },
        (Phase::Firing { level, clear_since }, Verdict::Normal) => {
            let since = clear_since.unwrap_or(now);
            match now.since(since) >= timing.keep {
                true => Phase::Normal,
                false => Phase::Firing { level, clear_since: Some(since) },
            }
        }
    }
}

fn held(since: Timestamp, level: Severity, now: Timestamp, timing: Timing) -> Phase {
    match now.since(since) >= timing.hold {
        true => Phase::Firing { level, clear_since: None },
        false => Phase::Pending { since, level },
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const T0: i64 = 1_760_000_000_000;

    fn verdicts() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            Just(Verdict::Normal),
            Just(Verdict::Unknown),
            prop_oneof![Just(Severity::Info), Just(Severity::Warning), Just(Severity::Critical)]
                .prop_map(Verdict::Breach),
        ]
    }

    /// Verdicts in order of time, some at the same moment, and a timing.
    fn histories() -> impl Strategy<Value = (Vec<(Timestamp, Verdict)>, Timing)> {
        (vec((0i64..40, verdicts()), 1..60), 0u64..60, 0u64..60).prop_map(|(steps, hold, keep)| {
            let mut at = T0;
            let steps = steps.into_iter().map(|(pause, verdict)| {
                at += pause * 1000;
                (Timestamp::from_millis(at).unwrap(), verdict)
            });
            (steps.collect(), Timing { hold: Duration::from_secs(hold), keep: Duration::from_secs(keep) })
        })
    }

    /// Every step of a history: the phase before, when, the verdict, the phase after, and what came before it.
    fn trace(history: &[(Timestamp, Verdict)], timing: Timing) -> Vec<(Phase, Timestamp, Verdict, Phase)> {
        let mut phase = Phase::Normal;
        let mut steps = Vec::new();
        for &(now, verdict) in history {
            let after = step(phase, verdict, now, timing);
            steps.push((phase, now, verdict, after));
            phase = after;
        }
        steps
    }

    /// Since when verdicts up to step `n`, those that cannot tell left out, have been of one kind.
    fn since(history: &[(Timestamp, Verdict)], n: usize, kind: impl Fn(Verdict) -> bool) -> Option<Timestamp> {
        let told = history[..=n].iter().rev().filter(|(_, verdict)| *verdict != Verdict::Unknown);
        told.take_while(|(_, verdict)| kind(*verdict)).last().map(|(at, _)| *at)
    }

    fn breach(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Breach(_))
    }

    proptest! {
        #[test]
        fn what_cannot_be_told_changes_nothing((history, timing) in histories()) {
            for (before, _, verdict, after) in trace(&history, timing) {
                prop_assert!(verdict != Verdict::Unknown || before == after);
            }
        }

        #[test]
        fn it_fires_exactly_when_the_breach_has_lasted((history, timing) in histories()) {
            for (n, (before, now, verdict, after)) in trace(&history, timing).into_iter().enumerate() {
                if breach(verdict) && !matches!(before, Phase::Firing { .. }) {
                    let began = since(&history, n, breach).unwrap();
                    prop_assert_eq!(matches!(after, Phase::Firing { .. }), now.since(began) >= timing.hold);
                }
            }
        }

        #[test]
        fn it_ends_exactly_when_it_has_been_well_for_long_enough((history, timing) in histories()) {
            for (n, (before, now, verdict, after)) in trace(&history, timing).into_iter().enumerate() {
                if !matches!(before, Phase::Firing { .. }) {
                    continue;
                }
                let well = since(&history, n, |verdict| verdict == Verdict::Normal);
                let long_enough = verdict == Verdict::Normal && well.is_some_and(|at| now.since(at) >= timing.keep);
                prop_assert_eq!(after == Phase::Normal, long_enough);
            }
        }

        #[test]
        fn the_same_verdict_again_changes_nothing((history, timing) in histories()) {
            for (_, now, verdict, after) in trace(&history, timing) {
                prop_assert_eq!(step(after, verdict, now, timing), after);
            }
        }

        #[test]
        fn the_level_is_that_of_the_last_breach((history, timing) in histories()) {
            let mut last = None;
            for (_, _, verdict, after) in trace(&history, timing) {
                if let Verdict::Breach(level) = verdict {
                    last = Some(level);
                }
                if let Phase::Pending { level, .. } | Phase::Firing { level, .. } = after {
                    prop_assert_eq!(Some(level), last);
                }
            }
        }
    }
}
