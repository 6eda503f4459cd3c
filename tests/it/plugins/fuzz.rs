//! A while of each fuzz target, with the same inputs each time.

use looma_tests::fuzz::Target;

fn drive(target: Target, inputs: u64) {
    let driven = target.drive(1, |tried| tried < inputs);
    assert_eq!(driven.map_err(|input| format!("{target:?} is broken by {input:?}")), Ok(inputs));
}

/// Damaged components serve or are refused, and what served before serves on.
#[test]
fn components_are_taken_or_refused() {
    drive(Target::Stage, 150);
}

/// No memory of an evaluator makes verdicts that break the contract.
#[test]
fn verdicts_keep_the_contract() {
    drive(Target::Verdicts, 5_000);
}

/// No way to write a URL leads past the grants.
#[test]
fn urls_lead_where_they_are_granted() {
    drive(Target::Urls, 100_000);
}

/// Nothing that a guest hands to the host makes the host's code fail.
#[test]
fn host_calls_take_anything() {
    drive(Target::HostCalls, 2_000);
}
