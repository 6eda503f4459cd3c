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
        // By chance, a wait is up to a sixteenth longer.
        looma.advance(Duration::from_secs(32));
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

    /// A change that the filter hides wakes nobody; one that it shows does, and so does one that comes to be shown.
    async fn a_change_that_the_filter_hides_wakes_nobody(looma: TestServer) {
        register(looma, "a", "x", json!({"tags": {"zone": "a"}})).await;
        register(looma, "b", "x", json!({"tags": {"zone": "b"}})).await;
        let admin = looma.admin().await;
        let known = find(looma, "x").await["revision"].clone();
        let waiting = asking(admin, format!("/discovery/x?zone=a&revision={known}&wait=30"));
        until_waiting(looma, "x", 1).await;
        admin.patch("/services/b", &json!({"weight": 1})).await.expect(200);
        admin.post("/services/b/maintenance", &json!({"enabled": true})).await.expect(200);
        // It has looked at the change and waits again.
        until_waiting(looma, "x", 1).await;
        assert!(!waiting.is_finished());
        let shown = admin.patch("/services/b", &json!({"tags": {"zone": "a"}})).await.expect(200);
        let told = waiting.await.unwrap();
        assert_eq!((ids(&told), &told["revision"]), (vec!["a", "b"], &shown["revision"]));
    }

    /// What changes nothing has no new revision: registering the same again, patching what is so, a heartbeat.
    async fn what_changes_nothing_is_told_to_nobody(looma: TestServer) {
        let stored = register(looma, "a", "x", json!({"weight": 7, "tags": {"v": "1"}})).await;
        let admin = looma.admin().await;
        let same = json!({"service_id": "a", "service_name": "x", "service_type": "t", "service_url": "http://10.0.0.7:8002", "ttl_seconds": 0, "weight": 7, "tags": {"v": "1"}});
        admin.post("/services", &same).await.expect(200);
        admin.post("/services/a/heartbeat", &json!({})).await.expect(204);
        let patched = admin.patch("/services/a", &json!({"weight": 7, "health_status": "healthy"})).await.expect(200);
        assert_eq!((&patched["revision"], &patched["updated_at"]), (&stored["revision"], &stored["updated_at"]));
        assert_eq!(find(looma, "x").await["revision"], stored["revision"]);
    }

    /// Those who began to wait together do not all ask again in the same moment, and none waits a sixteenth too long.
    async fn waits_end_one_after_the_other(looma: TestServer) {
        register(looma, "a", "x", json!({})).await;
        let known = find(looma, "x").await["revision"].clone();
        let path = format!("/discovery/x?revision={known}&wait=160");
        let waiting: Vec<_> = (0..20).map(|_| looma.admin()).collect();
        let mut asked = Vec::new();
        for client in waiting {
            asked.push(asking(client.await, path.clone()));
        }
        until_waiting(looma, "x", 20).await;
        looma.advance(Duration::from_secs(160));
        looma.admin().await.get("/discovery/x").await.expect(200);
        looma.advance(Duration::from_secs(5));
        looma_tests::eventually("answer", async || asked.iter().any(|asked| asked.is_finished()).then_some(())).await;
        assert!(asked.iter().any(|asked| !asked.is_finished()), "all of them are over in the same moment");
        for asked in asked {
            looma.advance(Duration::from_secs(10));
            assert_eq!(asked.await.unwrap()["revision"], known);
        }
    }

    /// A zone is what the service says, or its node where it says nothing; health can be asked for.
    async fn zone_and_health_narrow_down(looma: TestServer) {
        let node = json!({"node_id": "n1", "node_name": "n", "node_type": "worker", "host_address": "h", "port": 1, "tags": {"zone": "a"}});
        looma.admin().await.post("/nodes", &node).await.expect(201);
        register(looma, "here", "x", json!({"node_id": "n1"})).await;
        register(looma, "own", "x", json!({"node_id": "n1", "tags": {"zone": "b"}})).await;
        register(looma, "nowhere", "x", json!({})).await;
        looma.admin().await.patch("/services/own", &json!({"health_status": "warning"})).await.expect(200);
        for (query, expected) in [("zone=a", vec!["here"]), ("zone=b", vec!["own"]), ("zone=c", vec![]), ("health=warning", vec!["own"]), ("health=healthy", vec!["here", "nowhere"])] {
            assert_eq!(ids(&find(looma, &format!("x?{query}")).await), expected, "{query}");
        }
        let listed = looma.admin().await.get("/services?zone=a").await.expect(200);
        assert_eq!(ids(&listed), ["here"]);
        let known = find(looma, "x").await["revision"].clone();
        let waiting = asking(looma.admin().await, format!("/discovery/x?zone=c&revision={known}&wait=30"));
        until_waiting(looma, "x", 1).await;
        let moved = json!({"tags": {"zone": "c"}});
        looma.admin().await.patch("/nodes/n1", &moved).await.expect(200);
        assert_eq!(ids(&waiting.await.unwrap()), ["here"], "a node that moves takes its services along");
    }

    /// Who is least busy is what services report, and what was picked since; who reports nothing is as busy as the others.
    async fn picks_the_least_busy(looma: TestServer) {
        for id in ["a", "b", "c"] {
            register(looma, id, "x", json!({})).await;
        }
        let admin = looma.admin().await;
        let pick = async |query: &str| admin.get(&format!("/discovery/x/pick?{query}")).await.expect(200)["service_id"].as_str().unwrap().to_owned();
        admin.post("/services/a/heartbeat?connections=9", &json!({})).await.expect(204);
        admin.post("/heartbeats", &json!({"service_ids": ["b"], "connections": {"b": 1}})).await.expect(200);
        for _ in 0..3 {
            assert_eq!(pick("strategy=least-connections").await, "b");
        }
        admin.post("/services/b/heartbeat?connections=30", &json!({})).await.expect(204);
        assert_eq!(pick("strategy=least-connections").await, "a");
        admin.patch("/services/b", &json!({"weight": 1000})).await.expect(200);
        assert_eq!(pick("strategy=least-connections").await, "b", "for its weight");
        admin.post("/services/c/heartbeat?connections=1000", &json!({})).await.expect(204);
        for _ in 0..20 {
            assert_ne!(pick("strategy=power-of-two").await, "c", "it is the busier of any two");
        }
        admin.post("/services/c/heartbeat?connections=-1", &json!({})).await.expect(422);
    }

    /// A key stays where it is until that one is much busier than the others, and comes back.
    async fn a_busy_instance_hands_keys_on(looma: TestServer) {
        for id in ["a", "b", "c"] {
            register(looma, id, "x", json!({})).await;
        }
        let admin = looma.admin().await;
        let pick = async || admin.get("/discovery/x/pick?strategy=consistent-hash&key=k").await.expect(200)["service_id"].as_str().unwrap().to_owned();
        let own = pick().await;
        let say = async |id: &str, connections: u32| {
            admin.post(&format!("/services/{id}/heartbeat?connections={connections}"), &json!({})).await.expect(204);
        };
        for id in ["a", "b", "c"] {
            say(id, 10).await;
        }
        assert_eq!(pick().await, own);
        say(&own, 100).await;
        let other = pick().await;
        assert_ne!(other, own);
        assert_eq!(pick().await, other, "the next in the order of this key");
        say(&own, 10).await;
        assert_eq!(pick().await, own);
    }

    /// Calls stay in their zone while enough of it is well, and leave it in proportion to what is missing.
    async fn zone_aware_picks_stay_in_the_zone(looma: TestServer) {
        for (id, zone) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b")] {
            register(looma, id, "x", json!({"tags": {"zone": zone}})).await;
        }
        let admin = looma.admin().await;
        let in_zone = async || {
            let mut here = 0;
            for _ in 0..200 {
                let picked = admin.get("/discovery/x/pick?strategy=zone-aware&zone=a").await.expect(200);
                here += usize::from(picked["tags"]["zone"] == "a");
            }
            here
        };
        assert_eq!(in_zone().await, 200);
        admin.patch("/services/a1", &json!({"health_status": "critical"})).await.expect(200);
        let here = in_zone().await;
        assert!((100..180).contains(&here), "half of the zone is well, so 70 of 100 stay: {here} of 200");
        admin.patch("/services/a2", &json!({"health_status": "critical"})).await.expect(200);
        assert_eq!(in_zone().await, 0);
        assert_eq!(admin.get("/discovery/x/pick?strategy=zone-aware").await.pointers(), ["/zone"]);
        assert_eq!(admin.get("/discovery/x/pick?zone=a").await.pointers(), ["/zone"]);
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
