//! `kill -9` at any moment, then a start: what was acknowledged is there. Twenty times under load, on each database.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use looma::clock::Clock;
use looma_tests::{Client, Process, Store, bundled};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinSet};

const ROUNDS: usize = 20;
const LANES: usize = 6;
/// Rounds that go on until alerts have fired.
const WITH_ALERTS: [usize; 4] = [0, 6, 12, 18];

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_looma"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_on_sqlite() {
    kill_and_look(Store::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_on_postgres() {
    let Some(store) = Store::postgres().await else { return };
    kill_and_look(store).await;
}

/// What the server has acknowledged, over all rounds.
#[derive(Clone, Default)]
struct Acknowledged {
    services: Vec<String>,
    rules: Vec<String>,
    /// Values of samples, by service.
    samples: BTreeMap<String, Vec<i64>>,
    /// Alerts that were seen to fire.
    alerts: BTreeSet<String>,
}

async fn kill_and_look(store: Store) {
    let plugins = bundled(binary()).to_str().unwrap();
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    for round in 0..ROUNDS {
        let looma = Process::start(binary(), &["serve", "--plugins", plugins], &store);
        let admin = looma.admin().await;
        everything_is_there(&admin, &acknowledged).await;
        load_until(looma, admin, round, &acknowledged).await;
    }
    let looma = Process::start(binary(), &["serve", "--plugins", plugins], &store);
    everything_is_there(&looma.admin().await, &acknowledged).await;
    let acknowledged = acknowledged.lock().unwrap();
    assert!(acknowledged.services.len() >= ROUNDS && !acknowledged.alerts.is_empty() && !acknowledged.rules.is_empty());
}

/// Writes from all lanes, and kills the server in the middle: at an acknowledgement whose number differs with each round,
/// and in some rounds not before alerts have fired.
async fn load_until(looma: Process, admin: Client, round: usize, acknowledged: &Arc<Mutex<Acknowledged>>) {
    let (moment, fired) = (20 + round * 37 % 150, acknowledged.lock().unwrap().alerts.len());
    let wait_for_alerts = WITH_ALERTS.contains(&round);
    let (count, reached) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let (admin, acknowledged, count, reached) =
            (admin.clone(), acknowledged.clone(), count.clone(), reached.clone());
        lanes.spawn(async move {
            for n in 0.. {
                let name = format!("r{round}-l{lane}-n{n}");
                if write(&admin, lane, &name, n, &acknowledged).await.is_none() {
                    return;
                }
                let enough = count.fetch_add(1, Ordering::Relaxed) + 1 >= moment;
                if enough && (!wait_for_alerts || acknowledged.lock().unwrap().alerts.len() > fired) {
                    reached.notify_one();
                }
            }
        });
    }
    reached.notified().await;
    looma.kill();
    while let Some(lane) = lanes.join_next().await {
        lane.unwrap();
    }
}

/// One write of a lane's kind; `None` when the server is gone. What is answered is noted as acknowledged.
async fn write(admin: &Client, lane: usize, name: &str, n: i64, acknowledged: &Mutex<Acknowledged>) -> Option<()> {
    match lane {
        0..=2 => {
            let service = json!({"service_id": name, "service_name": "killed", "service_type": "killed",
                "service_url": "http://127.0.0.1:1", "ttl_seconds": 0});
            admin.try_post("/services", &service).await?.expect(201);
            acknowledged.lock().unwrap().services.push(name.to_owned());
        }
        3 => {
            let rule = json!({"rule_name": name, "metric_name": "never", "comparison_operator": ">", "threshold_value": 1.0,
                "severity": "info"});
            let rule = if n == 0 { firing_rule(name) } else { rule };
            admin.try_post("/alert-rules", &rule).await?.expect(201);
            acknowledged.lock().unwrap().rules.push(name.to_owned());
        }
        4 => {
            let service = name.rsplit_once("-n").unwrap().0.to_owned();
            let sample =
                json!({"service_id": service, "metric_name": "load", "metric_value": n, "timestamp": moment_of(n)});
            admin.try_post("/metrics", &json!({"samples": [sample]})).await?.expect(204);
            acknowledged.lock().unwrap().samples.entry(service).or_default().push(n);
        }
        _ => {
            let alerts = admin.try_get("/alerts?status=firing&limit=1000").await?.expect(200);
            let seen = alerts["items"].as_array().unwrap().iter().map(|alert| alert["id"].as_str().unwrap().to_owned());
            let alerts = &mut acknowledged.lock().unwrap().alerts;
            alerts.extend(seen);
        }
    }
    Some(())
}

/// A rule that every service with samples breaches.
fn firing_rule(name: &str) -> Value {
    json!({"rule_name": name, "metric_name": "load", "comparison_operator": ">=", "threshold_value": 0.0,
        "severity": "warning", "interval_seconds": 1, "for_seconds": 0})
}

/// A time for the n-th sample of a service: each is later than the one before, and none is to come.
fn moment_of(n: i64) -> i64 {
    Clock::system().now().millis() - 200_000 + n * 10
}

async fn everything_is_there(admin: &Client, acknowledged: &Mutex<Acknowledged>) {
    let Acknowledged { services, rules, samples, alerts } = &acknowledged.lock().unwrap().clone();
    let known = all(admin, "/services", "service_id").await;
    assert_eq!(services.iter().find(|id| !known.contains(*id)), None, "a service is lost");
    let known = all(admin, "/alert-rules", "rule_name").await;
    assert_eq!(rules.iter().find(|name| !known.contains(*name)), None, "a rule is lost");
    let known = all(admin, "/alerts", "id").await;
    assert_eq!(alerts.iter().find(|id| !known.contains(*id)), None, "an alert is lost");
    for (service, values) in samples {
        let path = format!("/metrics/query?metric_name=load&service_id={service}");
        let found = admin.get(&path).await.expect(200);
        let kept: Vec<i64> =
            found["items"][0]["points"].as_array().unwrap().iter().map(|p| p[1].as_f64().unwrap() as i64).collect();
        assert_eq!(values.iter().find(|value| !kept.contains(value)), None, "a sample of {service} is lost");
    }
}

/// A field of everything in a list, over all its pages.
async fn all(admin: &Client, path: &str, field: &str) -> std::collections::HashSet<String> {
    let mut found = std::collections::HashSet::new();
    let mut next = format!("{path}?limit=1000");
    loop {
        let page = admin.get(&next).await.expect(200);
        found.extend(page["items"].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(after) => next = format!("{path}?limit=1000&after={after}"),
            None => return found,
        }
    }
}
