//! A while of the program `soak`.

use std::time::Duration;

use looma_tests::soak::{self, Plan};

/// No good call is lost and none is answered by a version that was replaced, while plugins are swapped and others misbehave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_good_call_is_lost_while_plugins_are_swapped_and_others_misbehave() {
    let plan = Plan {
        plugins: 16,
        before: 0,
        reload_every: Duration::from_millis(100),
        ..Plan::of(Duration::from_secs(4), env!("CARGO_BIN_EXE_looma").into())
    };
    let report = soak::run(&plan, |_| ()).await;
    assert!(report.faults().is_empty(), "{report}: {:#?}", report.faults());
    let (good, hostile, swaps) = report.done();
    assert!(good > 100 && hostile > 0 && swaps > 1, "{report}");
}
