//! Watching the feed: each change once and in order, or the newest of each thing.

use looma_tests::{TestServer, both_databases, events::Events};
use serde_json::{Value, json};

async fn register(looma: &TestServer, id: &str) -> Value {
    let service = json!({"service_id": id, "service_name": "x", "service_type": "t", "service_url": "http://10.0.0.7:8002", "ttl_seconds": 0});
    looma.admin().await.post("/services", &service).await.expect(201)
}

async fn watch(looma: &TestServer, query: &str) -> Events {
    let token = looma.admin().await.token().unwrap().to_owned();
    Events::open(looma.running.address, &token, &format!("/api/v1/watch?topics=services&{query}")).await.unwrap()
}

/// The revisions and keys of so many events.
async fn told(events: &mut Events, count: usize) -> Vec<(i64, String)> {
    let mut told = Vec::new();
    for _ in 0..count {
        let event = events.next().await.unwrap();
        let data: Value = serde_json::from_str(&event.data).unwrap();
        told.push((event.id, data["key"].as_str().unwrap().to_owned()));
    }
    told
}

both_databases! {
    /// Whoever resumes is told of everything since, in order; whoever wants the newest alone is told once of each thing, and of what
    /// comes after as it comes.
    async fn the_newest_of_each_thing_is_enough(looma: TestServer) {
        let begin = register(looma, "a").await["revision"].as_i64().unwrap() - 1;
        register(looma, "b").await;
        register(looma, "gone").await;
        let admin = looma.admin().await;
        for weight in 0..20 {
            admin.patch("/services/a", &json!({"weight": weight})).await.expect(200);
        }
        let newest = admin.patch("/services/b", &json!({"weight": 1})).await.expect(200)["revision"].as_i64().unwrap();
        admin.delete("/services/gone").await.expect(204);
        let all = told(&mut watch(looma, &format!("from={begin}")).await, 25).await;
        assert!(all.windows(2).all(|two| two[0].0 < two[1].0), "{all:?}");
        let mut latest = watch(looma, &format!("from={begin}&latest=true")).await;
        let expected = [(newest - 1, "a".to_owned()), (newest, "b".to_owned()), (newest + 1, "gone".to_owned())];
        assert_eq!(told(&mut latest, 3).await, expected);
        let next = admin.patch("/services/a", &json!({"weight": 50})).await.expect(200)["revision"].as_i64().unwrap();
        assert_eq!(told(&mut latest, 1).await, [(next, "a".to_owned())]);
    }

    /// A change of another topic, a heartbeat and what changes nothing are told to nobody who watches services.
    async fn nothing_is_told_of_what_did_not_change(looma: TestServer) {
        register(looma, "a").await;
        let admin = looma.admin().await;
        admin.post("/services/a/heartbeat", &json!({})).await.expect(204);
        let mut events = watch(looma, "").await;
        admin.post("/services/a/heartbeat", &json!({})).await.expect(204);
        looma.run_task("registry.flush").await;
        admin.patch("/services/a", &json!({"weight": 100})).await.expect(200);
        let node = json!({"node_id": "n1", "node_name": "n", "node_type": "worker", "host_address": "h", "port": 1});
        admin.post("/nodes", &node).await.expect(201);
        let change = admin.patch("/services/a", &json!({"weight": 1})).await.expect(200)["revision"].as_i64().unwrap();
        assert_eq!(told(&mut events, 1).await, [(change, "a".to_owned())]);
    }
}
