//! The graph of clusters, nodes and services: whole, in pages, and in part.

use std::collections::{BTreeMap, BTreeSet};

use looma_tests::{TestServer, both_databases};
use serde_json::{Value, json};

async fn graph(looma: &TestServer, query: &str) -> Value {
    looma.viewer().await.get(&format!("/topology?{query}")).await.expect(200)
}

fn ids(graph: &Value) -> Vec<&str> {
    graph["nodes"].as_array().unwrap().iter().map(|vertex| vertex["id"].as_str().unwrap()).collect()
}

fn edges(graph: &Value) -> BTreeSet<String> {
    let edges = graph["edges"].as_array().unwrap().iter();
    edges
        .map(|edge| {
            let text = |field: &str| edge[field].as_str().unwrap();
            format!("{} {} {}", text("from"), text("kind"), text("to"))
        })
        .collect()
}

fn vertices(graph: &Value) -> BTreeMap<&str, &Value> {
    graph["nodes"].as_array().unwrap().iter().map(|vertex| (vertex["id"].as_str().unwrap(), vertex)).collect()
}

async fn fill(looma: &TestServer) {
    let admin = looma.admin().await;
    for id in ["n1", "n2", "idle"] {
        let node = json!({"node_id": id, "node_name": format!("node {id}"), "node_type": "worker", "host_address": "10.0.0.7",
            "port": 22, "ttl_seconds": 0});
        admin.post("/nodes", &node).await.expect(201);
    }
    for (id, cluster, node) in [
        ("a", json!("main"), json!("n1")),
        ("b", json!("main"), json!("n2")),
        ("c", json!("side"), json!("n2")),
        ("d", Value::Null, json!("unregistered")),
        ("e", Value::Null, Value::Null),
    ] {
        let service = json!({"service_id": id, "service_name": "x", "service_type": "t", "service_url": "http://h:1",
            "cluster_id": cluster, "node_id": node, "ttl_seconds": 0});
        admin.post("/services", &service).await.expect(201);
    }
    admin.post("/heartbeats", &json!({"service_ids": ["a", "b", "d"]})).await.expect(200);
    let critical = json!({"health_status": "critical", "health_reason": "disk", "status": "failed"});
    admin.patch("/services/a", &critical).await.expect(200);
    admin.patch("/services/c", &critical).await.expect(200);
}

both_databases! {
    /// Everything stands there with its kind, status and health, and every edge has both its ends.
    async fn shows_what_runs_where(looma: TestServer) {
        fill(looma).await;
        let graph = graph(looma, "").await;
        assert_eq!(ids(&graph), ["cluster:main", "cluster:side", "node:idle", "node:n1", "node:n2", "node:unregistered",
            "service:a", "service:b", "service:c", "service:d", "service:e"]);
        let expected = ["node:n1 part_of cluster:main", "node:n2 part_of cluster:main", "node:n2 part_of cluster:side",
            "service:a part_of cluster:main", "service:a runs_on node:n1", "service:b part_of cluster:main",
            "service:b runs_on node:n2", "service:c part_of cluster:side", "service:c runs_on node:n2",
            "service:d runs_on node:unregistered"];
        assert_eq!(edges(&graph), expected.iter().map(|edge| (*edge).to_owned()).collect());
        assert_eq!(graph["next"], Value::Null);
        let found = vertices(&graph);
        assert_eq!(*found["service:a"], json!({"id": "service:a", "kind": "service", "name": "x", "status": "failed", "health": "critical", "services": {}}));
        assert_eq!(*found["cluster:main"], json!({"id": "cluster:main", "kind": "cluster", "name": "main", "status": null, "health": "warning",
            "services": {"healthy": 1, "critical": 1}}));
        assert_eq!(found["cluster:side"]["health"], "critical");
        assert_eq!(*found["node:n1"], json!({"id": "node:n1", "kind": "node", "name": "node n1", "status": "active", "health": "unknown",
            "services": {"critical": 1}}));
        assert_eq!((&found["node:unregistered"]["status"], &found["node:unregistered"]["health"]), (&Value::Null, &json!("unknown")));
    }

    /// Page by page it is the same graph, and an edge ends on its own page or on an earlier one.
    async fn pages_give_the_whole(looma: TestServer) {
        fill(looma).await;
        let whole = graph(looma, "").await;
        let (mut seen, mut joined, mut after) = (Vec::new(), BTreeSet::new(), String::new());
        loop {
            let page = graph(looma, &format!("limit=2{after}")).await;
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            for edge in edges(&page) {
                let end = edge.rsplit(' ').next().unwrap().to_owned();
                assert!(seen.contains(&end), "{edge} ends nowhere yet");
                joined.insert(edge);
            }
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!((seen.iter().map(String::as_str).collect::<Vec<_>>(), joined), (ids(&whole), edges(&whole)));
        for (query, pointer) in [("limit=0", "/limit"), ("limit=10001", "/limit"), ("after=x", "/after"), ("colour=red", "/colour")] {
            assert_eq!(looma.viewer().await.get(&format!("/topology?{query}")).await.pointers(), [pointer]);
        }
    }

    /// A part is what fits and what that runs on; without services they are counted.
    async fn parts_are_drawn(looma: TestServer) {
        fill(looma).await;
        assert_eq!(ids(&graph(looma, "cluster_id=side").await), ["cluster:side", "node:n2", "service:c"]);
        assert_eq!(ids(&graph(looma, "node_id=idle").await), ["node:idle"]);
        assert_eq!(ids(&graph(looma, "health_status=critical&cluster_id=main").await), ["cluster:main", "node:n1", "service:a"]);
        let few = graph(looma, "services=false").await;
        assert_eq!(ids(&few).len(), 6);
        assert_eq!(vertices(&few)["node:n2"]["services"], json!({"healthy": 1, "critical": 1}));
        assert_eq!(looma.anonymous().get("/topology").await.status, 401);
    }
}
