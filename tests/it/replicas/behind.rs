//! A replica that was away for longer than changes are kept.

use std::time::Duration;

use looma_tests::TestServer;
use serde_json::{Value, json};

use super::deaf;

fn service(id: &str) -> Value {
    json!({"service_id": id, "service_name": "n", "service_type": "t", "service_url": "http://a", "ttl_seconds": 0})
}

/// Two replicas, the second of which hears of nothing until the changes that it missed are forgotten.
async fn one_away() -> Option<(TestServer, TestServer)> {
    let (first, second) = deaf().await?;
    second.admin().await;
    for part in ["a", "b"] {
        let services: Vec<Value> = (0..1000).map(|n| service(&format!("{part}-{n}"))).collect();
        first.admin().await.post("/services/batch", &json!({"services": services})).await.expect(200);
    }
    first.advance(Duration::from_secs(25 * 3600));
    first.run_task("feed.prune").await;
    Some((first, second))
}

async fn ends(second: TestServer) {
    let broken = tokio::time::timeout(Duration::from_secs(30), second.app().tasks.broken()).await;
    assert_eq!(broken.expect("the replica ends"), "feed.whole");
    second.stop().await;
}

/// It cannot be brought up to date, says so and ends, so that it is started anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_away_for_too_long_ends() {
    let Some((first, second)) = one_away().await else { return };
    let task = second.app().tasks.run_now("feed.follow").await.unwrap();
    assert!(task.last_error.as_deref().unwrap_or("").contains("no longer kept"), "{task:?}");
    ends(second).await;
    first.stop().await;
}

/// It writes nothing on top of what it has missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_away_for_too_long_writes_nothing() {
    let Some((first, second)) = one_away().await else { return };
    second.admin().await.post("/services", &service("late")).await.expect(503);
    let known = super::number(&first, "SELECT count(*) FROM service_registry WHERE service_id = 'late'").await;
    assert_eq!(known, 0);
    ends(second).await;
    first.stop().await;
}
