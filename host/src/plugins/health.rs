//! When a function of a plugin is to be left alone: repeated faults let it rest, and it is tried again after growing pauses. That
//! another function answers clears nothing. A version that fails soon after it came in is rolled back instead.
//!
//! Moments are `Clock::uptime`.

use std::{collections::BTreeMap, time::Duration};

use super::stats::Function;

/// Faults in a row that are too many.
const FAULTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// How each function fares.
#[derive(Debug, Default)]
pub(super) struct Health(BTreeMap<Function, Fares>);

/// Faults in a row, and the quarantine they led to.
#[derive(Debug, Default)]
struct Fares {
    faults: u32,
    quarantine: Option<Quarantine>,
}

#[derive(Debug)]
struct Quarantine {
    reason: String,
    until: Duration,
    pause: Duration,
    /// Whether a call was let through to try.
    tried: bool,
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
    /// Why it rests, or a function of it, if one does.
    pub(super) fn reason(&self) -> Option<&str> {
        self.0.values().find_map(|fares| fares.quarantine.as_ref()).map(|quarantine| quarantine.reason.as_str())
    }

    /// Lets a call through, or says why not. After each pause one call is let through to try.
    pub(super) fn admit(&mut self, function: Function, now: Duration) -> Result<(), String> {
        let Some(quarantine) = self.0.get_mut(&function).and_then(|fares| fares.quarantine.as_mut()) else {
            return Ok(());
        };
        if now < quarantine.until {
            return Err(quarantine.reason.clone());
        }
        quarantine.until = now + quarantine.pause;
        quarantine.tried = true;
        Ok(())
    }

    /// Takes note of a call; while the version is `guarded` there is something to go back to.
    pub(super) fn note(&mut self, function: Function, fault: Option<String>, guarded: bool) -> Verdict {
        let Some(fault) = fault else {
            let before = self.0.remove(&function);
            let rested = before.is_some_and(|fares| fares.quarantine.is_some());
            return if rested && self.reason().is_none() { Verdict::Recovered } else { Verdict::Same };
        };
        let fares = self.0.entry(function).or_default();
        fares.faults = fares.faults.saturating_add(1);
        let resting = fares.quarantine.is_some();
        // What was under way when the rest began says nothing new.
        let tried = fares.quarantine.as_ref().is_some_and(|quarantine| quarantine.tried);
        if (resting && !tried) || (!resting && fares.faults < FAULTS) {
            return Verdict::Same;
        }
        match guarded && !resting {
            true => Verdict::RollBack(fault),
            false => Verdict::Quarantine(fault),
        }
    }

    /// Lets a function rest, or rest longer. Gives the reason when this is the first rest, and nothing when it goes on.
    pub(super) fn quarantine(&mut self, function: Function, fault: &str, now: Duration) -> Option<String> {
        let fares = self.0.entry(function).or_default();
        let before = fares.quarantine.take();
        let pause = before.as_ref().map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
        let reason = format!("{function} failed {} times in a row and rests, last: {fault}", fares.faults);
        fares.quarantine = Some(Quarantine { reason: reason.clone(), until: now + pause, pause, tried: false });
        before.is_none().then_some(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(1);
    const IT: Function = Function::Evaluate;

    fn fail(health: &mut Health, guarded: bool) -> Verdict {
        health.note(IT, Some("boom".to_owned()), guarded)
    }

    #[test]
    fn faults_in_a_row_quarantine_and_one_success_ends_it() {
        let (mut health, now) = (Health::default(), SOON);
        for _ in 1..FAULTS {
            assert_eq!(fail(&mut health, false), Verdict::Same);
        }
        assert_eq!(fail(&mut health, false), Verdict::Quarantine("boom".to_owned()));
        assert!(health.quarantine(IT, "boom", now).is_some());
        assert!(health.admit(IT, now).is_err());
        assert!(health.admit(Function::Plan, now).is_ok(), "another function goes on");
        let later = now + FIRST_PAUSE;
        assert!(health.admit(IT, later).is_ok());
        assert!(health.admit(IT, later).is_err(), "one call alone tries");
        assert_eq!(health.note(IT, None, false), Verdict::Recovered);
        assert!(health.admit(IT, later).is_ok());
    }

    #[test]
    fn a_failing_trial_makes_the_pause_longer() {
        let (mut health, now) = (Health::default(), SOON);
        health.quarantine(IT, "boom", now);
        assert_eq!(fail(&mut health, false), Verdict::Same, "it was under way already");
        let later = now + FIRST_PAUSE;
        assert!(health.admit(IT, later).is_ok());
        assert!(matches!(fail(&mut health, false), Verdict::Quarantine(_)));
        assert_eq!(health.quarantine(IT, "boom", later), None, "it is told once");
        assert!(health.admit(IT, later + FIRST_PAUSE).is_err());
        assert!(health.admit(IT, later + FIRST_PAUSE * 2).is_ok());
    }

    #[test]
    fn a_success_clears_its_own_function_alone() {
        let (mut health, now) = (Health::default(), SOON);
        for _ in 1..FAULTS {
            fail(&mut health, false);
            assert_eq!(health.note(Function::Plan, None, false), Verdict::Same);
        }
        assert_eq!(fail(&mut health, false), Verdict::Quarantine("boom".to_owned()));
        health.quarantine(IT, "boom", now);
        assert_eq!(health.note(Function::Plan, None, false), Verdict::Same);
        assert!(health.reason().is_some_and(|reason| reason.starts_with("evaluate failed 5 times")));
    }

    #[test]
    fn faults_soon_after_a_swap_speak_against_the_swap() {
        let mut health = Health::default();
        for _ in 1..FAULTS {
            fail(&mut health, true);
        }
        assert_eq!(fail(&mut health, true), Verdict::RollBack("boom".to_owned()));
        let mut health = Health::default();
        for _ in 1..FAULTS {
            fail(&mut health, true);
        }
        assert!(matches!(fail(&mut health, false), Verdict::Quarantine(_)), "it is guarded no more");
    }
}
