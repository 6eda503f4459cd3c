//! Requests a second over HTTP, on SQLite with every commit synced: server and client share this machine's cores.
//!
//! `cargo bench --bench http`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use looma::{
    clock::Clock,
    run::{Running, Start, start},
};
use looma_tests::{ADMIN_PASSWORD, Client, Store, load};
use serde_json::json;
use tokio::runtime::Runtime;

const SERVICES: usize = 10_000;
const CONNECTIONS: [usize; 2] = [16, 64];

struct Bench {
    runtime: Runtime,
    running: Running,
    token: String,
    _store: Store,
}

impl Bench {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let store = Store::sqlite();
        let (running, token) = runtime.block_on(async {
            let settings = store.settings();
            let clock = Clock::system();
            let running =
                start(Start { settings, clock, admin_password: Some(ADMIN_PASSWORD.to_owned()) }).await.unwrap();
            let url = format!("http://{}", running.address);
            let login = json!({"username": "admin", "password": ADMIN_PASSWORD});
            let tokens = Client::new(url.clone(), None).post("/auth/login", &login).await.expect(200);
            let admin = Client::new(url, tokens["access_token"].as_str().map(str::to_owned));
            let scopes = json!({"name": "bench", "scopes": ["services:read", "services:write", "metrics:write"]});
            let token = admin.post("/tokens", &scopes).await.expect(201)["token"].as_str().unwrap().to_owned();
            (running, token)
        });
        Self { runtime, running, token, _store: store }
    }

    /// Time for `count` requests.
    fn time(
        &self,
        connections: usize,
        count: u64,
        make: impl Fn(&str, usize) -> Vec<u8> + Send + Sync + 'static,
        good: &'static [u16],
    ) -> Duration {
        let token = self.token.clone();
        let count = usize::try_from(count).unwrap();
        self.runtime.block_on(load::run(self.running.address, connections, count, move |n| make(&token, n), good))
    }
}

fn service(n: usize) -> String {
    json!({"service_id": format!("s-{n}"), "service_name": format!("name-{}", n % 1000), "service_type": "bench",
        "service_url": format!("http://10.0.{}.{}:80", n / 250 % 250, n % 250), "ttl_seconds": 3600})
    .to_string()
}

fn register(token: &str, n: usize) -> Vec<u8> {
    load::request("POST", "/api/v1/services", token, &service(n % SERVICES))
}

fn http(c: &mut Criterion) {
    let bench = Bench::start();
    let mut group = c.benchmark_group("http");
    group.sample_size(10).measurement_time(Duration::from_secs(5)).throughput(Throughput::Elements(1));
    // What is registered first is new; what follows in `registrations` changes nothing but the lease of 10,000.
    bench.time(64, u64::try_from(SERVICES).unwrap(), register, &[201]);
    for connections in CONNECTIONS {
        let id = |what| BenchmarkId::new(what, connections);
        group.bench_function(id("heartbeats"), |b| {
            b.iter_custom(|count| {
                let beat = |token: &str, n: usize| {
                    load::request("POST", &format!("/api/v1/services/s-{}/heartbeat", n % SERVICES), token, "")
                };
                bench.time(connections, count, beat, &[204])
            });
        });
        group.bench_function(id("discovery lists of 10"), |b| {
            b.iter_custom(|count| {
                let list = |token: &str, n: usize| {
                    load::request("GET", &format!("/api/v1/discovery/name-{}", n % 1000), token, "")
                };
                bench.time(connections, count, list, &[200])
            });
        });
        let mut round = 0;
        group.bench_function(id("registrations, each a change"), |b| {
            b.iter_custom(|count| {
                round += 1;
                let change = move |token: &str, n: usize| {
                    let body =
                        service(n % SERVICES).replace("\"bench\"", &format!("\"bench-{round}-{}\"", n / SERVICES));
                    load::request("POST", "/api/v1/services", token, &body)
                };
                bench.time(connections, count, change, &[200, 201])
            });
        });
    }
    group.throughput(Throughput::Elements(1000));
    group.bench_function("samples, 1000 a request over 4 connections", |b| {
        b.iter_custom(|count| {
            let samples = |token: &str, n: usize| {
                let sample = |i: usize| json!({"service_id": format!("s-{i}"), "metric_name": "cpu_usage", "metric_value": n % 100});
                let body = json!({"samples": (0..1000).map(sample).collect::<Vec<_>>()}).to_string();
                load::request("POST", "/api/v1/metrics", token, &body)
            };
            bench.time(4, count, samples, &[204])
        });
    });
    group.finish();
    bench.runtime.block_on(bench.running.stop()).unwrap();
}

criterion_group!(benches, http);
criterion_main!(benches);
