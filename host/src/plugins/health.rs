//! When a plugin is to be left alone: repeated faults quarantine it, and it is tried again after growing pauses. A version that
//! fails soon after it came in is rolled back instead.

use std::time::{Duration, Instant};

/// Faults in a row that are too many.
const FAULTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// How long after a swap faults speak against the swap.
const GUARD: Duration = Duration::from_secs(300);

/// Faults in a row, and the quarantine they led to.
#[derive(Debug, Default)]
pub(super) struct Health {
    faults: u32,
    quarantine: Option<Quarantine>,
}

#[derive(Debug)]
struct Quarantine {
    reason: String,
    until: Instant,
    pause: Duration,
}

/// What to do after a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Recovered,
    RollBack(String),
    Quarantine(String),
}

impl Health {
    /// Why it rests, if it does.
    pub(super) fn reason(&self) -> Option<&str> {
        self.quarantine.as_ref().map(|quarantine| quarantine.reason.as_str())
    }

    /// Lets a call through, or says why not. After each pause one call is let through to try.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), String> {
        let Some(quarantine) = &mut self.quarantine else {
            return Ok(());
        };
        if now < quarantine.until {
            return Err(quarantine.reason.clone());
        }
        quarantine.until = now + quarantine.pause;
        Ok(())
    }

    /// Takes note of a call; `swapped_at` is when the version came in, when there is something to go back to.
    pub(super) fn note(&mut self, fault: Option<String>, now: Instant, swapped_at: Option<Instant>) -> Verdict {
        let Some(fault) = fault else {
            self.faults = 0;
            return if self.quarantine.take().is_some() { Verdict::Recovered } else { Verdict::Same };
        };
        self.faults += 1;
        let resting = self.quarantine.is_some();
        if self.faults < FAULTS && !resting {
            return Verdict::Same;
        }
        match swapped_at.is_some_and(|at| now < at + GUARD) && !resting {
            true => Verdict::RollBack(fault),
            false => Verdict::Quarantine(fault),
        }
    }

    /// Begins a quarantine, or a longer one. Gives its reason.
    pub(super) fn quarantine(&mut self, fault: &str, now: Instant) -> String {
        let pause = self.quarantine.as_ref().map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
        let reason = format!("it failed {} times in a row and rests, last: {fault}", self.faults);
        self.quarantine = Some(Quarantine { reason: reason.clone(), until: now + pause, pause });
        reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(health: &mut Health, now: Instant, swapped_at: Option<Instant>) -> Verdict {
        health.note(Some("boom".to_owned()), now, swapped_at)
    }

    #[test]
    fn faults_in_a_row_quarantine_and_one_success_ends_it() {
        let (mut health, now) = (Health::default(), Instant::now());
        for _ in 1..FAULTS {
            assert_eq!(fail(&mut health, now, None), Verdict::Same);
        }
        assert_eq!(fail(&mut health, now, None), Verdict::Quarantine("boom".to_owned()));
        health.quarantine("boom", now);
        assert!(health.admit(now).is_err());
        let later = now + FIRST_PAUSE;
        assert!(health.admit(later).is_ok());
        assert!(health.admit(later).is_err(), "one call alone tries");
        assert_eq!(health.note(None, later, None), Verdict::Recovered);
        assert!(health.admit(later).is_ok());
    }

    #[test]
    fn a_failing_trial_makes_the_pause_longer() {
        let (mut health, now) = (Health::default(), Instant::now());
        health.quarantine("boom", now);
        let later = now + FIRST_PAUSE;
        assert!(health.admit(later).is_ok());
        assert!(matches!(fail(&mut health, later, None), Verdict::Quarantine(_)));
        health.quarantine("boom", later);
        assert!(health.admit(later + FIRST_PAUSE).is_err());
        assert!(health.admit(later + FIRST_PAUSE * 2).is_ok());
    }

    #[test]
    fn faults_soon_after_a_swap_speak_against_the_swap() {
        let (mut health, now) = (Health::default(), Instant::now());
        for _ in 1..FAULTS {
            fail(&mut health, now, Some(now));
        }
        assert_eq!(fail(&mut health, now, Some(now)), Verdict::RollBack("boom".to_owned()));
        let mut health = Health::default();
        for _ in 1..FAULTS {
            fail(&mut health, now, Some(now));
        }
        assert!(matches!(fail(&mut health, now + GUARD, Some(now)), Verdict::Quarantine(_)));
    }
}
