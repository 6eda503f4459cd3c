//! What evaluators remember: over a swap, a restart, another replica, and a version that comes and goes.

use std::time::Duration;

use looma_tests::{Store, TestServer, both_databases, plugins::Counter};
use serde_json::{Value, json};

const NAME: &str = "counter";

async fn bring(looma: &TestServer, counter: &Counter) -> looma_tests::Answer {
    let component = counter.component(NAME);
    looma.admin().await.post_bytes("/plugins", "application/wasm", component).await
}

/// Lets the rule be evaluated once.
async fn evaluate(looma: &TestServer) {
    looma.advance(Duration::from_secs(10));
    looma.run_task("alerts.evaluate").await;
}

/// How often each series was judged, by what is remembered: a dry run counts one more and keeps nothing.
async fn counts(looma: &TestServer, rule: &str) -> Vec<f64> {
    let tested = looma.admin().await.post(&format!("/alert-rules/{rule}/test"), &json!({})).await.expect(200);
    assert_eq!(tested["error"], Value::Null, "{tested}");
    tested["items"].as_array().unwrap().iter().map(|item| item["value"].as_f64().unwrap() - 1.0).collect()
}

/// A rule that the counter judges, on so many series.
async fn rule(looma: &TestServer, series: usize) -> String {
    let samples: Vec<Value> = (0..series)
        .map(|n| json!({"service_id": format!("s-{n}"), "metric_name": "cpu_usage", "metric_value": 1.0}))
        .collect();
    looma.admin().await.post("/metrics", &json!({"samples": samples})).await.expect(204);
    let rule = json!({"rule_name": "counted", "metric_name": "cpu_usage", "severity": "warning", "evaluator": NAME, "config": {}});
    looma.admin().await.post("/alert-rules", &rule).await.expect(201)["rule_id"].as_str().unwrap().to_owned()
}

const FIRST: Counter = Counter { level: 0, reads: 1, writes: 1, first: "" };
/// It reads what the first one wrote, and writes in another form, which it reads no more.
const MIGRATES: Counter = Counter { level: 0, reads: 1, writes: 2, first: "" };
const SECOND: Counter = Counter { level: 0, reads: 2, writes: 2, first: "(nop)" };

both_databases! {
    /// A version goes on from what the one before remembers.
    async fn memories_survive_a_swap(looma: TestServer) {
        bring(looma, &FIRST).await.expect(201);
        let rule = rule(looma, 3).await;
        for _ in 0..3 {
            evaluate(looma).await;
        }
        assert_eq!(counts(looma, &rule).await, [3.0; 3]);
        bring(looma, &Counter { first: "(nop)", ..FIRST }).await.expect(201);
        evaluate(looma).await;
        assert_eq!(counts(looma, &rule).await, [4.0; 3]);
    }

    /// A version that cannot read what is remembered says so before it comes in, and does not.
    async fn what_cannot_be_read_keeps_a_version_out(looma: TestServer) {
        let old = bring(looma, &FIRST).await.expect(201);
        let rule = rule(looma, 2).await;
        evaluate(looma).await;
        let refused = bring(looma, &SECOND).await.expect(422);
        let told = refused["detail"].as_str().unwrap();
        assert!(told.contains(&format!("cannot read what is remembered of rule:{rule}")), "{told}");
        let plugin = looma.admin().await.get(&format!("/plugins/{NAME}")).await.expect(200);
        assert_eq!((&plugin["digest"], &plugin["rollout"]["stage"]), (&old["digest"], &json!("refused")), "{plugin}");
        evaluate(looma).await;
        assert_eq!(counts(looma, &rule).await, [2.0; 2]);
    }

    /// A version that is taken back leaves no trace: the one before goes on from what it left, in its own form.
    async fn a_rollback_finds_what_was_left(looma: TestServer) {
        bring(looma, &FIRST).await.expect(201);
        let rule = rule(looma, 3).await;
        for _ in 0..3 {
            evaluate(looma).await;
        }
        bring(looma, &MIGRATES).await.expect(201);
        evaluate(looma).await;
        let health = looma.admin().await.get(&format!("/alert-rules/{rule}")).await.expect(200);
        assert_eq!(health["last_error"], Value::Null, "it reads what the first one wrote: {health}");
        looma.admin().await.post(&format!("/plugins/{NAME}/rollback"), &json!({})).await.expect(200);
        assert_eq!(counts(looma, &rule).await, [3.0; 3]);
        evaluate(looma).await;
        assert_eq!(counts(looma, &rule).await, [4.0; 3]);
    }

    /// A share of the series is judged by the new version from its own memory, and goes back to the old one's when it is given up.
    async fn a_share_has_a_memory_of_its_own(looma: TestServer) {
        bring(looma, &FIRST).await.expect(201);
        let rule = rule(looma, 32).await;
        for _ in 0..2 {
            evaluate(looma).await;
        }
        let admin = looma.admin().await;
        admin.put(&format!("/plugins/{NAME}/rollout"), &json!({"canary_percent": 50})).await.expect(200);
        bring(looma, &Counter { reads: 1, writes: 2, level: 2, first: "" }).await.expect(201);
        evaluate(looma).await;
        let firing = admin.get("/alerts?limit=100").await.expect(200)["items"].as_array().unwrap().len();
        assert!((1..32).contains(&firing), "{firing}");
        admin.post(&format!("/plugins/{NAME}/abort"), &json!({})).await.expect(200);
        let after: Vec<f64> = counts(looma, &rule).await;
        assert!(after.iter().all(|count| (2.0..=3.0).contains(count)), "{after:?}");
        assert!(after.contains(&2.0) && after.contains(&3.0), "{after:?}");
        evaluate(looma).await;
        evaluate(looma).await;
        assert_eq!(counts(looma, &rule).await.len(), 32);
    }
}

/// What is remembered outlives the server, and moves to another replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memories_outlive_a_restart() {
    let looma = TestServer::start(Store::sqlite()).await;
    bring(&looma, &FIRST).await.expect(201);
    let rule = rule(&looma, 2).await;
    for _ in 0..2 {
        evaluate(&looma).await;
    }
    bring(&looma, &MIGRATES).await.expect(201);
    let looma = looma.restart().await;
    assert_eq!(counts(&looma, &rule).await, [2.0; 2]);
    let back = looma.admin().await.post(&format!("/plugins/{NAME}/rollback"), &json!({})).await;
    back.expect(200);
    evaluate(&looma).await;
    assert_eq!(counts(&looma, &rule).await, [3.0; 2]);
    looma.stop().await;
}

/// Another replica goes on from what one has remembered, and swaps the version meanwhile as if it had judged all along.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memories_move_to_another_replica() {
    let Some(store) = Store::postgres().await else { return };
    let one = TestServer::start(store.clone()).await;
    bring(&one, &FIRST).await.expect(201);
    let rule = rule(&one, 2).await;
    for _ in 0..2 {
        evaluate(&one).await;
    }
    let (at, settings) = (one.app().clock.now(), store.settings());
    one.stop().await;
    let other = TestServer::start_at(store, settings, at).await;
    bring(&other, &Counter { first: "(nop)", ..FIRST }).await.expect(201);
    evaluate(&other).await;
    assert_eq!(counts(&other, &rule).await, [3.0; 2]);
    other.stop().await;
}
