//! Writers who meet: of those who saw the same version one wins, and what was deleted stays deleted.

use looma_tests::{Answer, Client, Store, TestServer, both_databases};
use reqwest::Method;
use serde_json::{Value, json};

/// What is kept at a path, and a field of it that each writer sets to another value.
struct Kind {
    path: &'static str,
    key: &'static str,
    new: Value,
    field: &'static str,
    set: fn(usize) -> Value,
}

fn kinds() -> [Kind; 5] {
    let silence =
        json!({"match": {"service_id": "a"}, "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-01-02T00:00:00Z"});
    let rule = json!({"rule_name": "r", "metric_name": "m", "severity": "info", "comparison_operator": ">", "threshold_value": 1.5});
    let source = json!({"name": "s", "strategy": "http-json", "config": {"url": "http://127.0.0.1:1"}});
    [
        Kind {
            path: "/channels",
            key: "id",
            new: json!({"name": "c", "notifier": "log"}),
            field: "name",
            set: |n| json!(format!("c{n}")),
        },
        Kind {
            path: "/routes",
            key: "id",
            new: json!({"name": "r", "channels": ["log"]}),
            field: "position",
            set: |n| json!(n),
        },
        Kind { path: "/silences", key: "id", new: silence, field: "comment", set: |n| json!(n.to_string()) },
        Kind { path: "/alert-rules", key: "rule_id", new: rule, field: "for_seconds", set: |n| json!(n) },
        Kind {
            path: "/discovery-sources",
            key: "source_id",
            new: source,
            field: "interval_seconds",
            set: |n| json!(n + 1),
        },
    ]
}

impl Kind {
    /// What the writer of this number makes of it.
    fn changed(&self, n: usize) -> Value {
        let mut changed = self.new.clone();
        changed[self.field] = (self.set)(n);
        changed
    }
}

async fn ready(servers: [&TestServer; 2]) {
    servers[0].load_plugins(&["log", "threshold", "http-json"]).await;
    servers[0].admin().await.post("/channels", &json!({"name": "log", "notifier": "log"})).await.expect(201);
    servers[1].run_task("feed.follow").await;
    servers[1].run_task("plugins.scan").await;
}

async fn send(client: &Client, method: Method, path: &str, tag: Option<&str>, body: Option<&Value>) -> Answer {
    let mut request = client.request(method, path);
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    client.send(request).await
}

/// Makes one, and gives its path and its tag, which both servers know.
async fn made(kind: &Kind, servers: [&TestServer; 2]) -> (String, String) {
    let made = servers[0].admin().await.post(kind.path, &kind.new).await.expect(201);
    let path = format!("{}/{}", kind.path, made[kind.key].as_str().unwrap());
    for server in servers {
        server.run_task("feed.follow").await;
    }
    let tag = servers[0].admin().await.get(&path).await.header("etag").unwrap().to_owned();
    (path, tag)
}

/// Four who saw the same version write at once: one wins, the others are told; then the old version is good for nothing.
async fn one_wins(servers: [&TestServer; 2]) {
    ready(servers).await;
    for kind in kinds() {
        for _ in 0..5 {
            let (path, tag) = made(&kind, servers).await;
            let [here, there] = [servers[0].admin().await, servers[1].admin().await];
            let put =
                async |client, n| send(client, Method::PUT, &path, Some(&tag), Some(&kind.changed(n))).await.status;
            let (a, b, c, d) = tokio::join!(put(here, 1), put(there, 2), put(here, 3), put(there, 4));
            let mut all = [a, b, c, d];
            all.sort_unstable();
            assert_eq!(all, [200, 412, 412, 412], "{}", kind.path);
            assert_eq!(send(here, Method::DELETE, &path, Some(&tag), None).await.status, 412, "{}", kind.path);
            send(there, Method::DELETE, &path, None, None).await.expect(204);
            servers[0].run_task("feed.follow").await;
        }
    }
}

/// One deletes while others write: it does not come back.
async fn it_stays_deleted(servers: [&TestServer; 2]) {
    ready(servers).await;
    for kind in kinds() {
        for _ in 0..5 {
            let (path, _) = made(&kind, servers).await;
            let [here, there] = [servers[0].admin().await, servers[1].admin().await];
            let put = async |client, n| send(client, Method::PUT, &path, None, Some(&kind.changed(n))).await.status;
            let delete = async || send(here, Method::DELETE, &path, None, None).await.status;
            let (a, gone, b, c) = tokio::join!(put(here, 1), delete(), put(there, 2), put(there, 3));
            assert_eq!(gone, 204, "{}", kind.path);
            assert!([a, b, c].iter().all(|put| [200, 404].contains(put)), "{}: {a} {b} {c}", kind.path);
            for server in servers {
                server.run_task("feed.follow").await;
                server.admin().await.get(&path).await.expect(404);
            }
        }
    }
}

both_databases! {
    /// Of writers with the same `If-Match` one wins.
    async fn of_those_who_saw_the_same_version_one_wins(looma: TestServer) {
        one_wins([looma, looma]).await;
    }

    /// What is deleted while others write it stays deleted.
    async fn what_is_deleted_stays_deleted(looma: TestServer) {
        it_stays_deleted([looma, looma]).await;
    }
}

async fn two() -> Option<(TestServer, TestServer)> {
    let store = Store::postgres().await?;
    let first = TestServer::start(store.clone()).await;
    Some((first, TestServer::start(store).await))
}

/// Of writers at two replicas one wins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_wins_over_replicas() {
    let Some((first, second)) = two().await else { return };
    one_wins([&first, &second]).await;
    first.stop().await;
    second.stop().await;
}

/// What one replica deletes another does not bring back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_holds_over_replicas() {
    let Some((first, second)) = two().await else { return };
    it_stays_deleted([&first, &second]).await;
    first.stop().await;
    second.stop().await;
}
