//! The agent: a machine that shows itself as a node.

use std::{future::pending, time::Duration};

use looma::{
    agent::{self, Config},
    client::{Client, Credentials},
    clock::{Clock, Timestamp},
};
use looma_tests::{ADMIN_PASSWORD, Answer, Store, TestServer, both_databases};
use serde_json::{Value, json};

const INTERVAL: Duration = Duration::from_secs(10);

fn config() -> Config {
    Config { node_id: "box-1".into(), host_address: "10.0.0.1".to_owned(), port: 22, interval: INTERVAL }
}

fn client(url: &str) -> Client {
    let password = ADMIN_PASSWORD.to_owned();
    Client::new(url, Credentials::Password { username: "admin".to_owned(), password }).unwrap()
}

/// Asks until the answer is `good`.
async fn until(client: &looma_tests::Client, path: &str, good: impl Fn(&Answer) -> bool) -> Value {
    let mut last = None;
    for _ in 0..5000 {
        let answer = client.get(path).await;
        if good(&answer) {
            return answer.json;
        }
        last = Some(answer);
    }
    panic!("never good: {last:?}");
}

/// Whether the series are there, with as many points of the first as `at_least`.
fn measured(answer: &Answer, at_least: usize) -> bool {
    answer.json["items"][0]["points"].as_array().is_some_and(|points| points.len() >= at_least)
}

both_databases! {
    /// The machine becomes a node, is measured every interval, and registers again when it is not known any more.
    async fn a_machine_shows_itself(looma: TestServer) {
        let (agent, admin) = (client(&looma.url()), looma.admin().await);
        let story = async {
            let node = until(admin, "/nodes/box-1", |answer| answer.status == 200).await;
            assert_eq!((&node["node_type"], &node["host_address"]), (&json!("worker"), &json!("10.0.0.1")));
            assert!(node["resources"]["cpu_cores"].as_u64().unwrap() > 0, "{node}");
            let ask = |name: &str| format!("/metrics/query?metric_name={name}&service_id=box-1");
            let memory = until(admin, &ask("memory_usage"), |answer| measured(answer, 1)).await;
            let share = memory["items"][0]["points"][0][1].as_f64().unwrap();
            assert!(share > 0.0 && share <= 100.0, "{memory}");
            assert_eq!(memory["items"][0]["metric_unit"], "percent");
            for name in ["memory_used", "memory_total", "load_1m", "uptime_seconds"] {
                assert!(measured(&admin.get(&ask(name)).await, 1), "{name}");
            }
            admin.get(&ask("cpu_usage")).await.expect(404);
            looma.advance(INTERVAL);
            until(admin, &ask("cpu_usage"), |answer| measured(answer, 1)).await;
            until(admin, &ask("memory_usage"), |answer| measured(answer, 2)).await;
            admin.delete("/nodes/box-1").await.expect(204);
            admin.get("/nodes/box-1").await.expect(404);
            looma.advance(INTERVAL);
            until(admin, "/nodes/box-1", |answer| answer.status == 200).await;
        };
        tokio::select! {
            ended = agent::run(&agent, config(), looma.app().clock.clone(), pending()) => panic!("it ended: {ended:?}"),
            () = story => {}
        }
    }
}

/// An agent whose server is not there waits for it, with growing pauses, and registers when it comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_waits_for_its_server() {
    let store = Store::sqlite();
    let mut settings = store.settings();
    // A port that was free a moment ago: the listener is closed again.
    settings.server.listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let start = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let (clock, time) = Clock::manual(start);
    let agent = client(&format!("http://{}", settings.server.listen));
    let story = async {
        let looma = TestServer::start_at(store, settings, start).await;
        let admin = looma.admin().await;
        for _ in 0..5000 {
            // The agent's time; the server's stands still.
            time.advance(Duration::from_secs(1));
            if admin.get("/nodes/box-1").await.status == 200 {
                return looma;
            }
        }
        panic!("it never came");
    };
    let looma = tokio::select! {
        ended = agent::run(&agent, config(), clock, pending()) => panic!("it ended: {ended:?}"),
        looma = story => looma,
    };
    looma.stop().await;
}
