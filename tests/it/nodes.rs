//! Nodes: registration, heartbeats, draining, maintenance, and what becomes of their services.

use std::time::Duration;

use looma_tests::{Receiver, Store, TestServer, both_databases};
use serde_json::{Value, json};

fn node(id: &str) -> Value {
    json!({"node_id": id, "node_name": format!("node {id}"), "node_type": "worker", "host_address": "10.0.0.7", "port": 22})
}

fn service(id: &str, node: &str, ttl: u64) -> Value {
    json!({"service_id": id, "service_name": "x", "service_type": "t", "service_url": "http://h:1", "node_id": node, "ttl_seconds": ttl})
}

async fn register(looma: &TestServer, id: &str) -> Value {
    looma.admin().await.post("/nodes", &node(id)).await.expect(201)
}

async fn post(looma: &TestServer, path: &str, status: u16) -> Value {
    looma.admin().await.post(path, &json!({})).await.expect(status)
}

async fn read(looma: &TestServer, path: &str) -> Value {
    looma.admin().await.get(path).await.expect(200)
}

async fn offered(looma: &TestServer) -> Vec<String> {
    let found = read(looma, "/discovery/x?healthy=true").await;
    found["items"].as_array().unwrap().iter().map(|item| item["service_id"].as_str().unwrap().to_owned()).collect()
}

both_databases! {
    /// What was registered is answered, with defaults and state, and can be read, renewed, patched and taken away.
    async fn registers_renews_patches_and_goes(looma: TestServer) {
        let mut sent = node("n1");
        sent["resources"] = json!({"cpu": 8, "memory_bytes": 17_179_869_184_i64});
        sent["tags"] = json!({"rack": "r1"});
        let answer = looma.admin().await.post("/nodes", &sent).await;
        assert_eq!(answer.header("location"), Some("/api/v1/nodes/n1"));
        let stored = answer.expect(201);
        assert_eq!((&stored["status"], &stored["health_status"], &stored["draining"]), (&json!("active"), &json!("unknown"), &json!(false)));
        assert_eq!((&stored["resources"], &stored["ttl_seconds"], &stored["last_seen"]), (&sent["resources"], &json!(15), &Value::Null));
        assert_eq!(read(looma, "/nodes/n1").await, stored);
        let renewed = looma.admin().await.post("/nodes", &sent).await.expect(200);
        assert_eq!((&renewed["health_status"], &renewed["last_seen"]), (&json!("healthy"), &json!("2026-01-01T00:00:00.000Z")));
        let patched = looma.admin().await.patch("/nodes/n1", &json!({"port": 23, "tags": {"rack": null}})).await.expect(200);
        assert_eq!((&patched["port"], &patched["tags"], &patched["health_status"]), (&json!(23), &json!({}), &json!("healthy")));
        assert_eq!(read(looma, "/nodes?node_type=worker&status=active").await["items"].as_array().unwrap().len(), 1);
        assert_eq!(read(looma, "/nodes?node_type=gateway").await["items"], json!([]));
        looma.admin().await.delete("/nodes/n1").await.expect(204);
        looma.admin().await.get("/nodes/n1").await.expect(404);
    }

    /// What cannot be a node is refused with every place where it cannot.
    async fn wrong_nodes_are_refused(looma: TestServer) {
        for (field, value) in [("node_id", json!("a/b")), ("node_id", json!("heartbeats")), ("node_name", json!("")),
            ("node_type", json!("giant")), ("host_address", json!("10.0.0.7/8")), ("port", json!(0)), ("port", json!(65_536)),
            ("ttl_seconds", json!(-1)), ("tags", json!([])), ("resources", json!(1)), ("colour", json!("red"))] {
            let mut wrong = node("n1");
            wrong[field] = value;
            let answer = looma.admin().await.post("/nodes", &wrong).await;
            assert_eq!(answer.pointers(), [format!("/{field}")], "{}", answer.json);
            answer.expect(422);
        }
    }

    /// A node that falls silent becomes inactive and takes its services with it; a heartbeat brings it, and those that
    /// have none of their own, back.
    async fn a_silent_node_takes_its_services_with_it(looma: TestServer) {
        register(looma, "n1").await;
        for (id, ttl) in [("watched", 0), ("slow", 300), ("alive", 300)] {
            looma.admin().await.post("/services", &service(id, "n1", ttl)).await.expect(201);
        }
        looma.admin().await.post("/heartbeats", &json!({"service_ids": ["watched", "slow", "alive"]})).await.expect(200);
        post(looma, "/nodes/n1/heartbeat", 204).await;
        looma.live(14).await;
        assert_eq!(read(looma, "/nodes/n1").await["status"], "active");
        post(looma, "/services/alive/heartbeat", 204).await;
        looma.live(2).await;
        let silent = read(looma, "/nodes/n1").await;
        assert_eq!((&silent["status"], &silent["health_status"]), (&json!("inactive"), &json!("critical")));
        let watched = read(looma, "/services/watched").await;
        assert_eq!((&watched["health_status"], &watched["status"]), (&json!("critical"), &json!("failed")));
        assert_eq!(watched["health_reason"], "its node n1 fell silent");
        assert_eq!(read(looma, "/services/alive").await["health_status"], "healthy", "it has been heard of since");
        assert_eq!(read(looma, "/services/slow").await["health_reason"], "its node n1 fell silent");
        post(looma, "/nodes/n1/heartbeat", 204).await;
        assert_eq!(read(looma, "/nodes/n1").await["status"], "active");
        looma.run_task("registry.expire").await;
        assert_eq!(read(looma, "/services/watched").await["health_status"], "healthy");
    }

    /// A service that is checked goes with its node, though nothing has failed yet, unless its check has passed since; it
    /// comes back with the node, or when its check passes.
    async fn a_silent_node_takes_what_is_checked_with_it(looma: TestServer) {
        let peer = Receiver::start().await;
        for id in ["n1", "n2"] {
            register(looma, id).await;
            post(looma, &format!("/nodes/{id}/heartbeat"), 204).await;
        }
        for (id, node, interval) in [("slow", "n1", 60), ("quick", "n2", 2)] {
            let check = json!({"kind": "http", "interval_seconds": interval, "timeout_seconds": 1});
            let mut own = service(id, node, 15);
            (own["service_url"], own["check"]) = (json!(peer.url()), check);
            looma.admin().await.post("/services", &own).await.expect(201);
        }
        let step = async || {
            looma.live_checked(1).await;
        };
        let health = async |id: &str| read(looma, &format!("/services/{id}")).await["health_status"].as_str().unwrap().to_owned();
        while health("slow").await != "healthy" {
            step().await;
            post(looma, "/nodes/n1/heartbeat", 204).await;
            post(looma, "/nodes/n2/heartbeat", 204).await;
        }
        for _ in 0..16 {
            step().await;
        }
        assert_eq!(read(looma, "/nodes/n2").await["status"], "inactive");
        assert_eq!(read(looma, "/services/slow").await["health_reason"], "its node n1 fell silent");
        assert_eq!(health("quick").await, "healthy", "its check has passed since");
        post(looma, "/nodes/n1/heartbeat", 204).await;
        step().await;
        let back = read(looma, "/services/slow").await;
        assert_eq!((&back["health_status"], &back["last_heartbeat"]), (&json!("healthy"), &Value::Null));
        for _ in 0..16 {
            step().await;
        }
        assert_eq!(health("slow").await, "critical", "the node fell silent again");
        while health("slow").await != "healthy" {
            step().await;
        }
        assert_eq!(read(looma, "/nodes/n1").await["status"], "inactive", "its check has passed");
    }

    /// A drained node is offered for nothing, keeps its services, and heartbeats do not undo that.
    async fn a_drained_node_is_not_offered(looma: TestServer) {
        for id in ["n1", "n2"] {
            register(looma, id).await;
            looma.admin().await.post("/services", &service(&format!("on-{id}"), id, 300)).await.expect(201);
            post(looma, &format!("/services/on-{id}/heartbeat"), 204).await;
        }
        assert_eq!(offered(looma).await, ["on-n1", "on-n2"]);
        assert_eq!(post(looma, "/nodes/n1/drain", 200).await["draining"], true);
        post(looma, "/nodes/n1/heartbeat", 204).await;
        post(looma, "/services/on-n1/heartbeat", 204).await;
        assert_eq!(offered(looma).await, ["on-n2"]);
        let all = read(looma, "/discovery/x").await;
        assert_eq!((all["items"].as_array().unwrap().len(), &all["items"][0]["health_status"]), (2, &json!("healthy")));
        let kept = read(looma, "/nodes/n1/services").await;
        assert_eq!(kept["items"][0]["service_id"], "on-n1");
        assert_eq!(looma.admin().await.delete("/nodes/n1/drain").await.expect(200)["draining"], false);
        assert_eq!(offered(looma).await, ["on-n1", "on-n2"]);
    }

    /// A node under maintenance is offered for nothing and says so, alive or not.
    async fn a_node_under_maintenance_is_not_offered(looma: TestServer) {
        register(looma, "n1").await;
        looma.admin().await.post("/services", &service("s", "n1", 0)).await.expect(201);
        post(looma, "/services/s/heartbeat", 204).await;
        let begun = looma.admin().await.post("/nodes/n1/maintenance", &json!({"enabled": true, "reason": "fan"})).await.expect(200);
        assert_eq!((&begun["status"], &begun["maintenance"]["reason"]), (&json!("maintenance"), &json!("fan")));
        assert!(offered(looma).await.is_empty());
        looma.live(20).await;
        let silent = read(looma, "/nodes/n1").await;
        assert_eq!((&silent["status"], &silent["health_status"]), (&json!("maintenance"), &json!("critical")));
        let ended = looma.admin().await.post("/nodes/n1/maintenance", &json!({"enabled": false})).await.expect(200);
        assert_eq!(ended["status"], "inactive");
    }

    /// Heartbeats of many nodes in one request tell who must register again.
    async fn many_nodes_beat_at_once(looma: TestServer) {
        register(looma, "n1").await;
        let answer = looma.admin().await.post("/nodes/heartbeats", &json!({"node_ids": ["n1", "n2"]})).await.expect(200);
        assert_eq!(answer, json!({"unknown": ["n2"]}));
        assert_eq!(read(looma, "/nodes/n1").await["health_status"], "healthy");
        looma.admin().await.post("/nodes/n2/heartbeat", &json!({})).await.expect(404);
        looma.admin().await.get("/nodes/n2/services").await.expect(404);
    }
}

/// Draining survives a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_survives_a_restart() {
    for store in [Some(Store::sqlite()), Store::postgres().await].into_iter().flatten() {
        let looma = TestServer::start(store).await;
        register(&looma, "n1").await;
        looma.admin().await.post("/services", &service("s", "n1", 0)).await.expect(201);
        post(&looma, "/services/s/heartbeat", 204).await;
        let drained = post(&looma, "/nodes/n1/drain", 200).await;
        looma.advance(Duration::from_secs(1));
        let looma = looma.restart().await;
        assert_eq!(read(&looma, "/nodes/n1").await, drained);
        assert!(offered(&looma).await.is_empty());
        looma.stop().await;
    }
}
