//! Blocking queries of Consul's clients: what wakes them, and what does not.

use std::time::Duration;

use looma_tests::{Answer, Client, TestServer, both_databases};
use serde_json::json;

use super::native;

/// Asks beside the test.
fn asking(client: &Client, path: String) -> tokio::task::JoinHandle<Answer> {
    let client = client.clone();
    #[expect(clippy::disallowed_methods, reason = "a test waits beside what it does")]
    tokio::spawn(async move { client.get(&path).await })
}

async fn until_waiting(looma: &TestServer, name: &str, count: usize) {
    while looma.app().registry.waiting(name) < count {
        tokio::task::yield_now().await;
    }
}

fn index(answer: &Answer) -> i64 {
    answer.header("x-consul-index").unwrap().parse().unwrap()
}

both_databases! {
    /// An answer carries the revision of its name as its index, and is never 0.
    async fn the_index_is_the_revision_of_the_name(looma: TestServer) {
        let service = native(looma, "a", "x", json!({})).await;
        native(looma, "b", "y", json!({})).await;
        let answer = looma.admin().await.get("/v1/health/service/x").await;
        assert_eq!(Some(index(&answer)), service["revision"].as_i64());
        assert_eq!((answer.header("x-consul-knownleader"), answer.header("x-consul-lastcontact")), (Some("true"), Some("0")));
        for path in ["catalog/services", "catalog/nodes", "catalog/service/nobody", "health/state/any", "health/node/looma"] {
            assert!(index(&looma.admin().await.get(&format!("/v1/{path}")).await) > 0, "{path}");
        }
    }

    /// A change of the name wakes who waits for it; a change elsewhere and a heartbeat wake nobody until the time is up.
    async fn a_change_of_the_name_wakes_and_no_other(looma: TestServer) {
        native(looma, "a", "x", json!({})).await;
        let admin = looma.admin().await;
        let known = index(&admin.get("/v1/health/service/x").await);
        let waiting = asking(admin, format!("/v1/health/service/x?index={known}&wait=30s"));
        until_waiting(looma, "x", 1).await;
        native(looma, "b", "y", json!({})).await;
        admin.post("/services/a/heartbeat", &json!({})).await.expect(204);
        assert!(!waiting.is_finished());
        assert_eq!(looma.app().registry.waiting("x"), 1);
        let changed = admin.patch("/services/a", &json!({"health_status": "critical"})).await.expect(200);
        let told = waiting.await.unwrap();
        assert_eq!(Some(index(&told)), changed["revision"].as_i64());
        assert_eq!(told.json[0]["Checks"][1]["Status"], "critical");
        let waiting = asking(admin, format!("/v1/catalog/service/x?index={}&wait=2000ms", index(&told)));
        until_waiting(looma, "x", 1).await;
        while !waiting.is_finished() {
            looma.advance(Duration::from_secs(2));
            tokio::task::yield_now().await;
        }
        assert_eq!(index(&waiting.await.unwrap()), index(&told));
    }

    /// The list of names waits for names and tags, not for the health of what has them.
    async fn the_list_of_names_waits_for_names(looma: TestServer) {
        native(looma, "a", "x", json!({})).await;
        let admin = looma.admin().await;
        let known = index(&admin.get("/v1/catalog/services").await);
        admin.patch("/services/a", &json!({"health_status": "critical"})).await.expect(200);
        assert_eq!(index(&admin.get("/v1/catalog/services").await), known);
        let waiting = asking(admin, format!("/v1/catalog/services?index={known}"));
        native(looma, "b", "y", json!({"tags": {"zone": "a"}})).await;
        let told = waiting.await.unwrap();
        assert!(index(&told) > known);
        assert_eq!(told.json, json!({"x": [], "y": ["zone=a"]}));
        let waiting = asking(admin, format!("/v1/catalog/services?index={}", index(&told)));
        admin.delete("/services/b").await.expect(204);
        assert_eq!(waiting.await.unwrap().json, json!({"x": []}));
    }

    /// An index of another past is answered at once with the true one, which is smaller: the client begins anew.
    async fn an_index_of_another_past_is_answered_at_once(looma: TestServer) {
        native(looma, "a", "x", json!({})).await;
        let answer = looma.admin().await.get("/v1/health/service/x?index=1000000&wait=10m").await;
        assert!(index(&answer) < 1_000_000);
        assert_eq!(answer.json.as_array().unwrap().len(), 1);
    }
}
