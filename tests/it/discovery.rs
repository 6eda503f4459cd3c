//! Discovery: who is offered, waiting for a change, picking one.

use std::{collections::BTreeMap, time::Duration};

use looma_tests::{Client, TestServer, both_databases};
use serde_json::{Value, json};

async fn register(looma: &TestServer, id: &str, name: &str, fields: Value) -> Value {
    let mut service = json!({"service_id": id, "service_name": name, "service_type": "t", "service_url": "http://10.0.0.7:8002", "ttl_seconds": 0});
    service.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    looma.admin().await.post("/services", &service).await.expect(201);
    looma.admin().await.post(&format!("/services/{id}/heartbeat"), &json!({})).await.expect(204);
    looma.admin().await.get(&format!("/services/{id}")).await.expect(200)
}

fn ids(found: &Value) -> Vec<&str> {
    found["items"].as_array().unwrap().iter().map(|item| item["service_id"].as_str().unwrap()).collect()
}

async fn find(looma: &TestServer, query: &str) -> Value {
    looma.admin().await.get(&format!("/discovery/{query}")).await.expect(200)
}

/// Asks for `path` beside the test.
fn asking(client: &Client, path: String) -> tokio::task::JoinHandle<Value> {
    let client = client.clone();
    #[expect(clippy::disallowed_methods, reason = "a test waits beside what it does")]
    tokio::spawn(async move { client.get(&path).await.expect(200) })
}

/// Waits until the server has `count` lookups that wait.
async fn until_waiting(looma: &TestServer, name: &str, count: usize) {
    while looma.app().registry.waiting(name) < count {
        tokio::task::yield_now().await;
    }
}

both_databases! {
    /// Only who may be offered is offered to whoever asks for healthy ones; everybody's true state is shown otherwise.
    async fn only_healthy_ones_are_offered(looma: TestServer) {
        for id in ["good", "warns", "maintained", "off", "bad"] {
            register(looma, id, "x", json!({})).await;
        }
        let admin = looma.admin().await;
        let fresh = json!({"service_id": "fresh", "service_name": "x", "service_type": "t", "service_url": "http://h:1"});
        admin.post("/services", &fresh).await.expect(201);
        admin.post("/services/maintained/maintenance", &json!({"enabled": true})).await.expect(200);
        for (id, patch) in [("warns", json!({"health_status": "warning"})), ("off", json!({"status": "inactive"})), ("bad", json!({"health_status": "critical"}))] {
            admin.patch(&format!("/services/{id}"), &patch).await.expect(200);
        }
        assert_eq!(ids(&find(looma, "x?healthy=true").await), ["good", "warns"]);
        let all = find(looma, "x").await;
        assert_eq!(ids(&all), ["bad", "fresh", "good", "maintained", "off", "warns"]);
        assert_eq!((&all["items"][0]["health_status"], &all["items"][3]["maintenance"]["enabled"]), (&json!("critical"), &json!(true)));
        assert_eq!(find(looma, "nobody").await["items"], json!([]));
    }

    /// Instances can be narrowed down by type, cluster, node and tags.
    async fn filters_narrow_down(looma: TestServer) {
        register(looma, "a", "x", json!({"service_type": "one", "tags": {"zone": "a", "v": "1"}, "cluster_id": "main"})).await;
        register(looma, "b", "x", json!({"tags": {"zone": "a", "v": "2"}, "node_id": "n1"})).await;
        for (query, expected) in [("type=one", vec!["a"]), ("cluster=main", vec!["a"]), ("node=n1", vec!["b"]),
            ("tag=zone:a", vec!["a", "b"]), ("tag=zone:a,v:2", vec!["b"]), ("type=two", vec![])] {
            assert_eq!(ids(&find(looma, &format!("x?{query}")).await), expected, "{query}");
        }
        looma.admin().await.get("/discovery/x?colour=red").await.expect(422);
        looma.admin().await.get("/discovery/x?wait=301").await.expect(422);
    }

    /// A change of the name wakes who waits for it, with the new revision.
    async fn a_change_of_the_name_wakes(looma: TestServer) {
        register(looma, "a", "x", json!({})).await;
        let known = find(looma, "x").await["revision"].as_i64().unwrap();
        let waiting = asking(looma.admin().await, format!("/discovery/x?revision={known}&wait=30"));
        until_waiting(looma, "x", 1).await;
        let changed = looma.admin().await.patch("/services/a", &json!({"weight": 1})).await.expect(200);
        let told = waiting.await.unwrap();
        assert_eq!((&told["revision"], &told["items"][0]["weight"]), (&changed["revision"], &json!(1)));
        let waiting = asking(looma.admin().await, format!("/discovery/x?revision={}&wait=30", told["revision"]));
        until_waiting(looma, "x", 1).await;
        looma.admin().await.delete("/services/a").await.expect(204);
        assert_eq!(waiting.await.unwrap()["items"], json!([]), "that the last one goes is a change too");
    }

    /// A change of another name, or a heartbeat, wakes nobody: the answer comes when the time is up.
    async fn a_change_of_another_name_wakes_nobody(looma: TestServer) {
        register(looma, "a", "x", json!({"ttl_seconds": 15})).await;
        let known = find(looma, "x").await["revision"].as_i64().unwrap();
        let waiting = asking(looma.admin().await, format!("/discovery/x?revision={known}&wait=30"));
        until_waiting(looma, "x", 1).await;
        register(looma, "b", "y", json!({})).await;
        looma.admin().await.post("/services/a/heartbeat", &json!({})).await.expect(204);
        looma.admin().await.delete("/services/b").await.expect(204);
        assert!(!waiting.is_finished());
        assert_eq!(looma.app().registry.waiting("x"), 1);
        looma.advance(Duration::from_secs(30));
        assert_eq!(waiting.await.unwrap()["revision"], known);
    }

    /// Whoever waits for a name that nothing has is told of its first instance.
    async fn the_first_instance_wakes(looma: TestServer) {
        register(looma, "b", "y", json!({})).await;
        let known = find(looma, "x").await["revision"].as_i64().unwrap();
        let waiting = asking(looma.admin().await, format!("/discovery/x?revision={known}&wait=30"));
        until_waiting(looma, "x", 1).await;
        register(looma, "c", "z", json!({})).await;
        register(looma, "a", "x", json!({})).await;
        assert_eq!(ids(&waiting.await.unwrap()), ["a"]);
    }

    /// Draining a node wakes who waits for a name on it, and nobody else.
    async fn draining_wakes_the_names_on_the_node(looma: TestServer) {
        let node = json!({"node_id": "n1", "node_name": "n", "node_type": "worker", "host_address": "h", "port": 1});
        looma.admin().await.post("/nodes", &node).await.expect(201);
        register(looma, "a", "x", json!({"node_id": "n1"})).await;
        register(looma, "b", "y", json!({})).await;
        let (x, y) = (find(looma, "x").await["revision"].clone(), find(looma, "y").await["revision"].clone());
        let waiting = asking(looma.admin().await, format!("/discovery/x?healthy=true&revision={x}&wait=30"));
        until_waiting(looma, "x", 1).await;
        looma.admin().await.post("/nodes/n1/drain", &json!({})).await.expect(200);
        assert_eq!(waiting.await.unwrap()["items"], json!([]));
        assert_eq!(find(looma, "y").await["revision"], y);
    }

    /// The answer carries its revision and an entity tag, and is spared to whoever has it.
    async fn answers_carry_their_revision(looma: TestServer) {
        let stored = register(looma, "a", "x", json!({})).await;
        register(looma, "b", "y", json!({})).await;
        let answer = looma.admin().await.get("/discovery/x").await;
        assert_eq!(answer.header("x-looma-revision"), Some(stored["revision"].to_string().as_str()));
        let tag = answer.header("etag").unwrap().to_owned();
        let admin = looma.admin().await;
        let again = admin.request(reqwest::Method::GET, "/discovery/x").header("if-none-match", tag.clone());
        admin.send(again).await.expect(304);
        admin.patch("/services/a", &json!({"weight": 1})).await.expect(200);
        let again = admin.request(reqwest::Method::GET, "/discovery/x").header("if-none-match", tag);
        admin.send(again).await.expect(200);
    }

    /// Each strategy picks among those that are offered, in its way.
    async fn picks_one(looma: TestServer) {
        for (id, weight) in [("a", 100), ("b", 300), ("c", 0)] {
            register(looma, id, "x", json!({"weight": weight})).await;
        }
        register(looma, "d", "x", json!({})).await;
        looma.admin().await.post("/services/d/maintenance", &json!({"enabled": true})).await.expect(200);
        let pick = async |query: &str| looma.admin().await.get(&format!("/discovery/x/pick?{query}")).await.expect(200)["service_id"].as_str().unwrap().to_owned();
        let mut in_turn = Vec::new();
        for _ in 0..6 {
            in_turn.push(pick("strategy=round-robin").await);
        }
        assert_eq!(in_turn, ["a", "b", "c", "a", "b", "c"]);
        let mut weighted: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..400 {
            *weighted.entry(pick("strategy=weighted").await).or_default() += 1;
        }
        assert!(!weighted.contains_key("c") && !weighted.contains_key("d"), "{weighted:?}");
        assert!((50..150).contains(&weighted["a"]), "about a quarter: {weighted:?}");
        assert!(["a", "b", "c"].contains(&pick("strategy=random").await.as_str()));
        let mut by_key = BTreeMap::new();
        for key in 0..40 {
            let chosen = pick(&format!("strategy=consistent-hash&key=k{key}")).await;
            assert_eq!(pick(&format!("strategy=consistent-hash&key=k{key}")).await, chosen);
            by_key.insert(key, chosen);
        }
        looma.admin().await.delete("/services/a").await.expect(204);
        for (key, before) in &by_key {
            let after = pick(&format!("strategy=consistent-hash&key=k{key}")).await;
            assert!(before == "a" || *before == after, "a key moved that need not: {before} {after}");
        }
        assert!(by_key.values().any(|id| id == "a") && by_key.values().any(|id| id == "b"), "{by_key:?}");
        let answer = looma.admin().await.get("/discovery/x/pick?strategy=consistent-hash").await;
        assert_eq!(answer.pointers(), ["/key"]);
        looma.admin().await.get("/discovery/x/pick?strategy=luck").await.expect(422);
        looma.admin().await.get("/discovery/nobody/pick").await.expect(404);
    }

    /// Prometheus gets a list of targets with labels, of those that speak HTTP.
    async fn prometheus_finds_its_targets(looma: TestServer) {
        register(looma, "a", "x", json!({"tags": {"zone.name": "a"}, "node_id": "n1"})).await;
        register(looma, "b", "x", json!({"service_url": "https://h.example/metrics"})).await;
        register(looma, "c", "x", json!({"service_url": "tcp://h:5432"})).await;
        let targets = looma.admin().await.get("/prometheus/targets").await.expect(200);
        assert_eq!(targets.as_array().unwrap().len(), 2);
        assert_eq!(targets[0]["targets"], json!(["10.0.0.7:8002"]));
        let labels = &targets[0]["labels"];
        assert_eq!((&labels["service_id"], &labels["node_id"], &labels["__scheme__"]), (&json!("a"), &json!("n1"), &json!("http")));
        assert_eq!(labels["__meta_looma_tag_zone_name"], "a");
        assert_eq!(targets[1]["targets"], json!(["h.example:443"]));
    }
}
