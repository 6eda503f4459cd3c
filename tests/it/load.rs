//! A moment of the program `load`, without r-nacos: that it measures everything, and says of which server.

use std::time::Duration;

use looma_tests::bench::{self, Plan, Promise};

/// So little that it says nothing of speed.
fn plan() -> Plan {
    let promise = Promise {
        what: "short times",
        ttl_seconds: 1,
        every: Duration::from_millis(200),
        wanted: Duration::from_secs(3),
    };
    Plan {
        services: 40,
        length: Duration::from_millis(50),
        rounds: 1,
        connections: vec![3],
        subscribers: 5,
        changes: 3,
        every: Duration::from_millis(200),
        promises: vec![promise],
        ..Plan::of(env!("CARGO_BIN_EXE_looma").into())
    }
}

/// Each kind of request is answered as a client needs it, by both ways, and each figure stands in the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_counted_by_both_ways() {
    let table = bench::compare(&plan(), |_| ()).await.unwrap();
    for row in
        ["heartbeats", "heartbeats, one hot", "lists", "lists, one hot", "registrations", "registrations, one hot"]
    {
        let line = table.lines().find(|line| line.starts_with(&format!("{row:<24}    3 |"))).unwrap();
        assert_eq!(line.matches(" /s ").count(), 2, "{table}");
        assert!(!line.contains("| 0 /s"), "{table}");
    }
    assert!(table.contains("with 40 services") && table.contains("by long poll p50 "), "{table}");
    assert!(table.contains("(15 times); by long poll") && table.trim_end().ends_with("(15 times)"), "{table}");
}

/// Services that beat are not taken for dead, and those that die, leave or are found again after a crash are told of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lives_and_deaths_are_told_apart() {
    let beating = bench::ten_minutes(&plan(), |_| ()).await.unwrap();
    assert!(beating.contains("0 changes of health were seen, 0 services are not healthy"), "{beating}");
    let failover = bench::failover(&plan(), |_| ()).await.unwrap();
    // Those that died are still there, and critical.
    assert!(failover.contains("an answer with all 43 services"), "{failover}");
    assert_eq!(failover.matches("(15 times)").count(), 2, "{failover}");
}

/// Watchers that nothing happens for are held open, and what they take is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_watchers_are_counted() {
    let text = bench::watchers(&plan(), |_| ()).await.unwrap();
    assert!(text.starts_with("5 idle watchers: resident "), "{text}");
}

/// Figures of a server that is no release build say so.
#[test]
fn a_debug_server_is_told() {
    let told = |looma: &str| Plan::of(looma.into()).heading().contains("NO RELEASE BUILD");
    assert!(told("/w/target/debug/looma") && !told("/w/target/release/looma"));
}
