//! When a source's time comes: by the clock that only goes forward, so that a wall clock that is set back stalls nothing. What
//! other replicas ran, and what ran before a start, counts from when it was seen here.

use std::{collections::HashMap, time::Duration};

use super::types::{Source, SourceId};
use crate::clock::{Clock, Timestamp};

/// What is known of the last run of each source.
#[derive(Debug, Default)]
pub(super) struct Pace(HashMap<SourceId, Seen>);

/// When a run was.
#[derive(Debug)]
pub(super) struct Seen {
    /// Which run.
    run: Timestamp,
    /// When it was seen here, by `Clock::uptime`.
    at: Duration,
    /// How long ago it had been then, as far as wall clocks can tell.
    ago: Duration,
}

impl Pace {
    /// Whether the time of a source has come.
    pub(super) fn is_due(&mut self, source: &Source, clock: &Clock) -> bool {
        let last = self.see(source, clock);
        let elapsed = last.map(|last| last.ago + clock.uptime().saturating_sub(last.at));
        source.enabled && elapsed.is_none_or(|elapsed| elapsed >= source.interval())
    }

    /// Takes note of the last run of a source, if it is another one than was known.
    pub(super) fn see(&mut self, source: &Source, clock: &Clock) -> Option<&Seen> {
        let run = source.last_run_at?;
        let seen = || Seen { run, at: clock.uptime(), ago: clock.now().since(run) };
        let last = self.0.entry(source.source_id.clone()).or_insert_with(seen);
        if last.run != run {
            *last = seen();
        }
        Some(last)
    }

    /// Forgets a source.
    pub(super) fn forget(&mut self, id: &SourceId) {
        self.0.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::types::SourceBody, *};

    fn source(last_run_at: Timestamp) -> Source {
        let body: SourceBody =
            serde_json::from_str(r#"{"name": "s", "strategy": "p", "interval_seconds": 30}"#).unwrap();
        Source { last_run_at: Some(last_run_at), ..body.source(SourceId::from("s"), last_run_at) }
    }

    #[test]
    fn a_jump_of_the_wall_clock_changes_nothing() {
        let start = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        for jump in ["2025-01-01T00:00:00Z", "2027-01-01T00:00:00Z"] {
            let (clock, manual) = Clock::manual(start);
            let (mut pace, source) = (Pace::default(), source(start));
            assert!(!pace.is_due(&source, &clock));
            manual.jump(Timestamp::parse(jump).unwrap());
            manual.advance(Duration::from_secs(29));
            assert!(!pace.is_due(&source, &clock), "{jump}");
            manual.advance(Duration::from_secs(1));
            assert!(pace.is_due(&source, &clock), "{jump}");
        }
    }

    #[test]
    fn what_ran_before_a_start_counts() {
        let start = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let (clock, manual) = Clock::manual(start);
        assert!(Pace::default().is_due(&source(start.minus(Duration::from_secs(30))), &clock));
        let (mut pace, source) = (Pace::default(), source(start.minus(Duration::from_secs(20))));
        assert!(!pace.is_due(&source, &clock));
        manual.advance(Duration::from_secs(10));
        assert!(pace.is_due(&source, &clock));
    }

    #[test]
    fn a_run_that_is_said_to_be_in_the_future_was_now() {
        let start = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let (clock, manual) = Clock::manual(start);
        let (mut pace, source) = (Pace::default(), source(start.plus(Duration::from_secs(3600))));
        assert!(!pace.is_due(&source, &clock));
        manual.advance(Duration::from_secs(30));
        assert!(pace.is_due(&source, &clock));
    }
}
