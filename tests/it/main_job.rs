//! The main job, played from outside: `looma dev` as a process, real HTTP, a webhook, and an evaluator that is changed
//! in its source while ten thousand heartbeats and samples are in flight.

use std::{
    path::Path,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
};

use looma::clock::Clock;
use looma_tests::{Client, Process, Receiver, Store, Workspace, eventually};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const SERVICES: usize = 100;
const BEATS: usize = 10_000;
const SAMPLES: usize = 10_000;
const LANES: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_job_on_sqlite() {
    play(Store::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_job_on_postgres() {
    let Some(store) = Store::postgres().await else { return };
    play(store).await;
}

async fn play(store: Store) {
    let workspace = Workspace::copy();
    let receiver = Receiver::start().await;
    let arguments = ["dev", "--workspace", workspace.path().to_str().unwrap()];
    let looma = Process::start(Path::new(env!("CARGO_BIN_EXE_looma")), &arguments, &store);
    let admin = looma.admin().await;

    let node = this_machine_reports(&admin).await;
    registers_beats_and_is_found(&admin, &node).await;
    let digest = fires_and_is_delivered(&admin, &receiver).await;
    let lost = swapped_under_load(&admin, &workspace, &receiver, &digest).await;
    assert_eq!(lost, 0);
    assert_eq!(looma.terminate(), Some(0));
}

/// This machine is the first node, and its own figures are kept.
async fn this_machine_reports(admin: &Client) -> String {
    let node = eventually("node", async || {
        let nodes = admin.get("/nodes").await.expect(200);
        nodes["items"][0]["node_id"].as_str().map(str::to_owned)
    })
    .await;
    for metric in ["cpu_usage", "memory_usage", "disk_usage", "network_received"] {
        eventually(metric, async || {
            let path = format!("/metrics/series?service_id={node}&metric_name={metric}");
            (!admin.get(&path).await.expect(200)["items"].as_array()?.is_empty()).then_some(())
        })
        .await;
    }
    node
}

async fn registers_beats_and_is_found(admin: &Client, node: &str) {
    for n in 0..SERVICES {
        let service = json!({"service_id": format!("ai-{n}"), "service_name": "ai-service", "service_type": "ai-service",
            "service_url": format!("http://10.0.0.{n}:8002"), "node_id": node, "ttl_seconds": 60});
        admin.post("/services", &service).await.expect(201);
        admin.post(&format!("/services/ai-{n}/heartbeat"), &json!({})).await.expect(204);
    }
    let found = admin.get("/discovery/ai-service?healthy=true").await.expect(200);
    assert_eq!(found["items"].as_array().unwrap().len(), SERVICES);
}

async fn send(admin: &Client, service: &str, value: f64) {
    let sample = json!({"service_id": service, "metric_name": "cpu", "metric_value": value, "metric_unit": "percent"});
    admin.post("/metrics", &json!({"samples": [sample]})).await.expect(204);
}

/// A rule judged by the evaluator fires, and the notifier delivers it. Gives the digest of the evaluator.
async fn fires_and_is_delivered(admin: &Client, receiver: &Receiver) -> String {
    admin.put("/plugins/webhook/grants", &json!({"http": [receiver.url()]})).await.expect(200);
    let channel = json!({"name": "hook", "notifier": "webhook", "config": {"url": format!("{}/x", receiver.url())}});
    admin.post("/channels", &channel).await.expect(201);
    let route = json!({"name": "all", "match": {}, "channels": ["hook"], "group_by": ["service_id"], "group_interval_seconds": 1});
    admin.post("/routes", &route).await.expect(201);
    let rule = json!({"rule_name": "cpu high", "service_type": "ai-service", "metric_name": "cpu", "comparison_operator": ">",
        "threshold_value": 90.0, "severity": "critical", "interval_seconds": 1, "for_seconds": 0});
    admin.post("/alert-rules", &rule).await.expect(201);
    send(admin, "ai-0", 97.0).await;
    let firing = receiver.next().await;
    assert!(firing.head.starts_with("POST /x "), "{}", firing.head);
    assert_eq!((&firing.json["status"], &firing.json["alerts"][0]["service_id"]), (&json!("firing"), &json!("ai-0")));
    let alerts = admin.get("/alerts?status=firing").await.expect(200);
    alerts["items"][0]["plugin"]["digest"].as_str().unwrap().to_owned()
}

/// The source of the evaluator is changed while heartbeats and samples are in flight; gives how many were lost.
async fn swapped_under_load(admin: &Client, workspace: &Workspace, receiver: &Receiver, digest: &str) -> usize {
    let answered = Arc::new(AtomicUsize::new(0));
    let mut load = JoinSet::new();
    let began = Clock::system().now().millis() - 60_000;
    for lane in 0..LANES {
        load.spawn(in_flight(admin.clone(), lane, began, answered.clone()));
    }
    workspace.change("plugins/threshold/Cargo.toml", "description = \"", "description = \"Changed: ");
    let changed = eventually("new version of the evaluator", async || {
        let plugin = admin.get("/plugins/threshold").await.expect(200);
        (plugin["digest"] != *digest).then(|| plugin["digest"].clone())
    })
    .await;
    // The next judgement is the new version's.
    send(admin, "ai-1", 99.0).await;
    while receiver.next().await.json["alerts"][0]["service_id"] != "ai-1" {}
    let judged = admin.get("/alerts?status=firing&service_id=ai-1").await.expect(200);
    assert_eq!(judged["items"][0]["plugin"]["digest"], changed);
    while let Some(lane) = load.join_next().await {
        lane.unwrap();
    }
    assert_eq!(answered.load(Ordering::Relaxed), BEATS + SAMPLES);
    SAMPLES - kept(admin).await
}

/// A share of the beats and samples, each of which must be acknowledged.
async fn in_flight(admin: Client, lane: usize, began: i64, answered: Arc<AtomicUsize>) {
    for n in (lane..BEATS).step_by(LANES) {
        admin.post(&format!("/services/ai-{}/heartbeat", n % SERVICES), &json!({})).await.expect(204);
        answered.fetch_add(1, Ordering::Relaxed);
    }
    for batch in (lane..SAMPLES / 10).step_by(LANES) {
        let samples: Vec<Value> = (batch * 10..batch * 10 + 10).map(|n| sample(n, began)).collect();
        admin.post("/metrics", &json!({"samples": samples})).await.expect(204);
        answered.fetch_add(10, Ordering::Relaxed);
    }
}

/// The n-th sample: a service each, then the next moment.
fn sample(n: usize, began: i64) -> Value {
    let at = began + i64::try_from(n / SERVICES).unwrap() * 100;
    json!({"service_id": format!("ai-{}", n % SERVICES), "metric_name": "load", "metric_value": n, "timestamp": at})
}

/// How many of the samples in flight are kept.
async fn kept(admin: &Client) -> usize {
    let found = admin.get("/metrics/query?metric_name=load").await.expect(200);
    found["items"].as_array().unwrap().iter().map(|series| series["points"].as_array().unwrap().len()).sum()
}
