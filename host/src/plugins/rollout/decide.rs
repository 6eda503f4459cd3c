//! Whether a version goes on, stays, or comes to nothing: a pure function of what was seen and what was asked for.

use std::time::Duration;

use super::{
    report::{Pair, Report},
    types::{Candidate, Policy, Promote, Stage},
};
use crate::clock::Timestamp;

/// Calls below which a share of failures says nothing.
const FEW: u64 = 10;
/// Calls below which times say nothing.
const FEW_TIMES: u64 = 20;
/// A median that is not this much longer is never too long: with the same input, and with other inputs each.
const SLOWER_US: f64 = 1_000.0;
const SLOWER_APART_US: f64 = 5_000.0;

/// What is to be done with a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It stays where it is; why, when there is something to say.
    Wait(Option<String>),
    /// It begins to serve a share.
    Share(String),
    /// It comes into service.
    Serve(String),
    /// It is given up.
    GiveUp(String),
    /// It is taken back.
    TakeBack(String),
    /// It proved itself.
    Prove,
}

/// What is to be done with `candidate` at `now`.
pub(super) fn decide(candidate: &Candidate, policy: &Policy, report: &Report, now: Timestamp) -> Decision {
    match candidate.stage {
        Stage::Shadow => shadow(policy, report),
        Stage::Canary => canary(candidate, policy, report, now),
        Stage::Guard => guard(candidate, policy, report, now),
        Stage::Done | Stage::Aborted | Stage::RolledBack | Stage::Refused => Decision::Wait(None),
    }
}

fn shadow(policy: &Policy, report: &Report) -> Decision {
    let wanted = policy.shadow.as_ref().map_or(0, |shadow| shadow.calls);
    let calls = report.shadow.candidate.calls;
    if calls < wanted {
        return Decision::Wait(None);
    }
    if let Some(fault) = shadow_fault(policy, report) {
        return Decision::Wait(Some(fault));
    }
    let within = format!("{calls} calls were compared, and it is within its bounds");
    match (policy.canary_percent > 0.0, policy.promote) {
        (true, _) => Decision::Share(within),
        (false, Promote::Automatic) => Decision::Serve(within),
        (false, Promote::Manual) => Decision::Wait(Some(format!("{within}: it waits to be promoted"))),
    }
}

fn shadow_fault(policy: &Policy, report: &Report) -> Option<String> {
    let Report { shadow, differing, .. } = report;
    let (calls, percent) = (shadow.candidate.calls, report.differing_percent());
    if percent > policy.max_difference_percent {
        let most = policy.max_difference_percent;
        return Some(format!("{differing} of {calls} calls differ ({percent:.2} %), at most {most} % may"));
    }
    if shadow.candidate.failed_percent() > policy.max_error_percent {
        return Some(failures(shadow, policy));
    }
    slowness(shadow, policy, SLOWER_US, 1)
}

fn canary(candidate: &Candidate, policy: &Policy, report: &Report, now: Timestamp) -> Decision {
    if let Some(fault) = beside_fault(&report.canary, policy, report) {
        return Decision::GiveUp(fault);
    }
    let lasted = now.since(candidate.since) >= Duration::from_secs(policy.canary_seconds);
    let calls = report.canary.candidate.calls;
    if !lasted {
        return Decision::Wait(None);
    }
    // A share without a key in it proves nothing, unless the same calls were compared before.
    if calls < FEW && report.shadow.candidate.calls < FEW {
        return Decision::Wait(Some(format!("it has had {calls} calls, and {FEW} are needed to tell")));
    }
    let within = format!("it had {calls} calls and is within its bounds");
    match policy.promote {
        Promote::Automatic => Decision::Serve(within),
        Promote::Manual => Decision::Wait(Some(format!("{within}: it waits to be promoted"))),
    }
}

fn guard(candidate: &Candidate, policy: &Policy, report: &Report, now: Timestamp) -> Decision {
    if let Some(fault) = beside_fault(&report.guard, policy, report) {
        return Decision::TakeBack(fault);
    }
    match candidate.until.is_none_or(|until| now >= until) {
        true => Decision::Prove,
        false => Decision::Wait(None),
    }
}

fn beside_fault(pair: &Pair, policy: &Policy, report: &Report) -> Option<String> {
    if let Some(tripped) = &report.tripped {
        return Some(tripped.clone());
    }
    let more = pair.candidate.failed_percent() - pair.serving.failed_percent();
    if pair.candidate.calls >= FEW && more > policy.max_error_percent {
        return Some(failures(pair, policy));
    }
    slowness(pair, policy, SLOWER_APART_US, FEW_TIMES)
}

fn failures(pair: &Pair, policy: &Policy) -> String {
    let (failed, calls, most) = (pair.candidate.failed(), pair.candidate.calls, policy.max_error_percent);
    let kinds: Vec<String> = pair.candidate.errors.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let kinds = kinds.join(", ");
    format!("{failed} of {calls} calls failed ({kinds}), at most {most} % more than before may")
}

fn slowness(pair: &Pair, policy: &Policy, slower_us: f64, few: u64) -> Option<String> {
    let Pair { serving, candidate } = pair;
    if serving.calls < few || candidate.calls < few {
        return None;
    }
    let (before, after) = (serving.latency.quantile(0.5)?, candidate.latency.quantile(0.5)?);
    let (ratio, most) = (pair.latency_ratio()?, policy.max_latency_ratio);
    (ratio > most && after > before + slower_us)
        .then(|| format!("its calls take {ratio:.1} times as long ({after:.0} µs, {before:.0} µs before), at most {most} times is allowed"))
}

#[cfg(test)]
mod tests {
    use super::super::{
        report::{Compared, Difference},
        types::{Shadow, VersionRef},
    };
    use super::*;
    use crate::plugins::types::{CallError, Source};

    const T0: i64 = 1_760_000_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(T0 + seconds * 1000).unwrap()
    }

    fn candidate(stage: Stage) -> Candidate {
        Candidate {
            plugin: VersionRef { version: Some("2.0.0".to_owned()), digest: "d".to_owned() },
            source: Source::Upload,
            stage,
            since: at(0),
            until: Some(at(300)),
            reason: None,
            before: None,
            signature: None,
        }
    }

    fn policy(promote: Promote, canary_percent: f64) -> Policy {
        Policy { shadow: Some(Shadow { calls: 20 }), promote, canary_percent, ..Policy::default() }
    }

    fn compared(same: u64, differing: u64) -> Report {
        let mut report = Report::default();
        let took = Duration::from_micros(100);
        for _ in 0..same {
            report.compared(Compared::Same, took, took);
        }
        for _ in 0..differing {
            let difference = Difference {
                key: "r/1".to_owned(),
                what: "level".to_owned(),
                serving: "0".to_owned(),
                candidate: "1".to_owned(),
            };
            report.compared(Compared::Differs(difference), took, took);
        }
        report
    }

    fn pair(calls: u64, failing: u64, micros: u64) -> Pair {
        let mut pair = Pair::default();
        for n in 0..calls {
            pair.serving.note(None, Duration::from_micros(100));
            let failed = (n < failing).then_some(CallError::Timeout);
            pair.candidate.note(failed.as_ref(), Duration::from_micros(micros));
        }
        pair
    }

    #[test]
    fn a_shadow_goes_on_when_enough_was_compared_within_bounds() {
        let shadow = candidate(Stage::Shadow);
        let ask = |promote, percent, report: &Report| decide(&shadow, &policy(promote, percent), report, at(0));
        assert_eq!(ask(Promote::Automatic, 10.0, &compared(19, 0)), Decision::Wait(None));
        assert!(matches!(ask(Promote::Automatic, 10.0, &compared(20, 0)), Decision::Share(_)));
        assert!(matches!(ask(Promote::Automatic, 0.0, &compared(20, 0)), Decision::Serve(_)));
        assert!(matches!(ask(Promote::Manual, 0.0, &compared(20, 0)), Decision::Wait(Some(_))));
        let Decision::Wait(Some(why)) = ask(Promote::Automatic, 10.0, &compared(19, 1)) else { panic!() };
        assert!(why.contains("1 of 20 calls differ"), "{why}");
    }

    #[test]
    fn a_slow_shadow_stays() {
        let mut report = Report::default();
        for _ in 0..20 {
            report.compared(Compared::Same, Duration::from_micros(200), Duration::from_millis(20));
        }
        let decision = decide(&candidate(Stage::Shadow), &policy(Promote::Automatic, 0.0), &report, at(0));
        let Decision::Wait(Some(why)) = decision else { panic!("{decision:?}") };
        assert!(why.contains("times as long"), "{why}");
    }

    #[test]
    fn a_share_is_given_up_when_it_fails_and_goes_on_when_its_time_is_over() {
        let canary = candidate(Stage::Canary);
        let policy = policy(Promote::Automatic, 10.0);
        let ask = |pair: Pair, now| decide(&canary, &policy, &Report { canary: pair, ..Report::default() }, now);
        assert!(matches!(ask(pair(10, 1, 100), at(1)), Decision::GiveUp(_)));
        assert_eq!(ask(pair(10, 0, 100), at(299)), Decision::Wait(None));
        assert!(matches!(ask(pair(10, 0, 100), at(300)), Decision::Serve(_)));
        assert!(matches!(ask(pair(9, 0, 100), at(300)), Decision::Wait(Some(_))), "too few calls to tell");
        assert!(matches!(ask(pair(20, 0, 50_000), at(1)), Decision::GiveUp(_)), "it is slow");
    }

    #[test]
    fn a_guarded_version_is_taken_back_when_it_fails_more_than_the_one_before() {
        let guarded = candidate(Stage::Guard);
        let ask =
            |pair: Pair, now| decide(&guarded, &Policy::default(), &Report { guard: pair, ..Report::default() }, now);
        assert!(matches!(ask(pair(10, 1, 100), at(1)), Decision::TakeBack(_)));
        assert!(matches!(ask(pair(30, 0, 50_000), at(1)), Decision::TakeBack(_)));
        let mut as_bad = pair(10, 1, 100);
        as_bad.serving.note(Some(&CallError::Timeout), Duration::ZERO);
        assert_eq!(ask(as_bad, at(1)), Decision::Wait(None), "the one before failed as often");
        assert_eq!(ask(pair(10, 0, 100), at(300)), Decision::Prove);
    }
}
