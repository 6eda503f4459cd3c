//! Batches: one series that crashes an evaluator keeps no other from being judged.

use looma_tests::{TestServer, both_databases, plugins::evaluator};
use serde_json::{Value, json};

use crate::alerts::{alerts, rule, tick};

/// Says of every series that it breaches, and crashes when a value is 13. It has room for 200 series.
const PICKY: &str = "
    (local $at i32) (local $end i32) (local $n i32)
    (local.set $n (i32.load offset=28 (local.get 0)))
    (local.set $at (i32.load offset=48 (local.get 0)))
    (local.set $end (i32.add (local.get $at) (i32.mul (i32.load offset=52 (local.get 0)) (i32.const 8))))
    (block $done (loop $each
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (if (f64.eq (f64.load (local.get $at)) (f64.const 13)) (then unreachable))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $each)))
    (memory.fill (i32.const 2048) (i32.const 1) (local.get $n))
    (i32.store (i32.const 1540) (i32.const 2048)) (i32.store (i32.const 1544) (local.get $n))
    (i32.store (i32.const 1548) (i32.const 3072)) (i32.store (i32.const 1552) (local.get $n))
    (i32.const 1536)";

fn of(evaluator: &str) -> Value {
    json!({"evaluator": evaluator, "interval_seconds": 10, "comparison_operator": null, "threshold_value": null})
}

async fn samples(looma: &TestServer, values: impl Iterator<Item = (usize, f64)>) {
    let samples: Vec<Value> = values
        .map(|(n, value)| {
            json!({"service_id": format!("ai-{n:03}"), "metric_name": "cpu_usage", "metric_value": value, "metric_unit": "%"})
        })
        .collect();
    looma.admin().await.post("/metrics", &json!({"samples": samples})).await.expect(204);
}

async fn health(looma: &TestServer, rule: &str) -> Value {
    looma.admin().await.get(&format!("/alert-rules/{rule}")).await.expect(200)["last_error"].clone()
}

both_databases! {
    /// The series that crash an evaluator are found, and all others are judged; the rule says which could not be.
    async fn series_that_crash_an_evaluator_are_found(looma: TestServer) {
        let picky = evaluator("picky", "(i32.const 512)", PICKY);
        looma.admin().await.post_bytes("/plugins", "application/wasm", picky).await.expect(201);
        let rule = rule(looma, "picky", of("picky")).await;
        samples(looma, (0..100).map(|n| (n, if n == 71 { 13.0 } else { 5.0 }))).await;
        tick(looma, 10).await;
        let firing = alerts(looma, "status=firing&limit=1000").await;
        assert_eq!(firing.len(), 99);
        assert!(firing.iter().all(|alert| alert["service_id"] != "ai-071"));
        let told = health(looma, &rule).await;
        assert!(told.as_str().unwrap().contains("ai-071"), "{told}");
        // The alert of a series that could not be judged stays as it is, however long.
        samples(looma, (0..100).map(|n| (n, if n == 5 { 13.0 } else { 5.0 }))).await;
        for _ in 0..3 {
            tick(looma, 10).await;
        }
        let alert = alerts(looma, "service_id=ai-005").await;
        assert_eq!(alert[0]["status"], "firing", "{alert:?}");
        let plugin = looma.admin().await.get("/plugins/picky").await.expect(200);
        assert_eq!(plugin["state"], "active", "{plugin}");
    }

    /// An evaluator that crashes on every series is not asked about each, and comes to rest.
    async fn evaluator_that_crashes_on_all_is_not_asked_for_each(looma: TestServer) {
        let crashes = evaluator("crashes", "(i32.const 1024)", "unreachable");
        looma.admin().await.post_bytes("/plugins", "application/wasm", crashes).await.expect(201);
        let rule = rule(looma, "crashes", of("crashes")).await;
        samples(looma, (0..100).map(|n| (n, 5.0))).await;
        tick(looma, 10).await;
        let plugin = looma.admin().await.get("/plugins/crashes").await.expect(200);
        assert_eq!(plugin["state"], "quarantined", "{plugin}");
        assert_eq!(plugin["calls"], 6, "one to plan, five to judge: {plugin}");
        assert!(health(looma, &rule).await.as_str().unwrap().contains("crashes"));
    }
}
