//! What one replica registered is registered at all of them.

use looma::on_db;
use looma_tests::{Client, TestServer, eventually};
use serde_json::{Value, json};

use super::{deaf, number};

fn service(id: &str, name: &str) -> Value {
    json!({"service_id": id, "service_name": name, "service_type": "t", "service_url": "http://a", "ttl_seconds": 10})
}

fn node(id: &str) -> Value {
    json!({"node_id": id, "node_name": id, "node_type": "worker", "host_address": "10.0.0.7", "port": 22})
}

async fn token(at: &TestServer, name: &str) -> String {
    let token = json!({"name": "own", "scopes": ["services:write", "services:read"], "service_name": name});
    at.admin().await.post("/tokens", &token).await.expect(201)["token"].as_str().unwrap().to_owned()
}

/// A service can be read, beat, changed and taken away at once wherever one asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_known_everywhere_at_once() {
    let Some((first, second)) = deaf().await else { return };
    let (here, there) = (first.admin().await, second.admin().await);
    for id in ["a", "b", "c", "d", "e", "f"] {
        here.post("/services", &service(id, "x")).await.expect(201);
        match id {
            "a" => drop(there.get("/services/a").await.expect(200)),
            "b" => drop(there.post("/services/b/heartbeat", &json!({})).await.expect(204)),
            "c" => {
                let unknown = there.post("/heartbeats", &json!({"service_ids": ["c", "z"]})).await.expect(200);
                assert_eq!(unknown["unknown"], json!(["z"]));
            }
            "d" => drop(there.patch("/services/d", &json!({"weight": 7})).await.expect(200)),
            "e" => drop(there.post("/services/e/maintenance", &json!({"enabled": true})).await.expect(200)),
            _ => drop(there.delete("/services/f").await.expect(204)),
        }
    }
    first.stop().await;
    second.stop().await;
}

/// So can a node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_known_everywhere_at_once() {
    let Some((first, second)) = deaf().await else { return };
    let (here, there) = (first.admin().await, second.admin().await);
    for id in ["a", "b", "c", "d", "e", "f"] {
        here.post("/nodes", &node(id)).await.expect(201);
        match id {
            "a" => drop(there.get("/nodes/a").await.expect(200)),
            "b" => drop(there.post("/nodes/b/heartbeat", &json!({})).await.expect(204)),
            "c" => {
                let unknown = there.post("/nodes/heartbeats", &json!({"node_ids": ["c", "z"]})).await.expect(200);
                assert_eq!(unknown["unknown"], json!(["z"]));
            }
            "d" => drop(there.patch("/nodes/d", &json!({"node_name": "other"})).await.expect(200)),
            "e" => drop(there.get("/nodes/e/services").await.expect(200)),
            _ => drop(there.delete("/nodes/f").await.expect(204)),
        }
    }
    first.stop().await;
    second.stop().await;
}

/// A version that was read at one replica guards a write at the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_the_same_everywhere() {
    let Some((first, second)) = deaf().await else { return };
    let (here, there) = (first.admin().await, second.admin().await);
    here.post("/services", &service("a", "x")).await.expect(201);
    second.run_task("feed.follow").await;
    let guarded = async |of: &Client, method, weight: i64| {
        let tag = here.patch("/services/a", &json!({"weight": weight})).await.header("etag").unwrap().to_owned();
        let request = of.request(method, "/services/a").header("if-match", tag);
        of.send(request.json(&json!({"weight": 9}))).await
    };
    guarded(there, reqwest::Method::PATCH, 1).await.expect(200);
    guarded(there, reqwest::Method::DELETE, 2).await.expect(204);
    first.stop().await;
    second.stop().await;
}

/// Registering what is registered already changes nothing, whichever replica is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_is_one_wherever_it_is_sent() {
    let Some((first, second)) = deaf().await else { return };
    let (here, there) = (first.admin().await, second.admin().await);
    let made = here.post("/services", &service("a", "x")).await.expect(201);
    // From now on it is as it will be: a renewal writes nothing.
    here.post("/services/a/heartbeat", &json!({})).await.expect(204);
    assert_eq!(there.post("/services", &service("a", "x")).await.expect(200)["registered_at"], made["registered_at"]);
    here.post("/nodes", &node("a")).await.expect(201);
    here.post("/nodes/a/heartbeat", &json!({})).await.expect(204);
    there.post("/nodes", &node("a")).await.expect(200);
    first.stop().await;
    second.stop().await;
}

/// What another replica took away a moment ago is registered anew, not renewed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_is_not_renewed() {
    let Some((first, second)) = deaf().await else { return };
    let (here, there) = (first.admin().await, second.admin().await);
    for id in ["a", "b"] {
        here.post("/services", &service(id, "x")).await.expect(201);
    }
    here.post("/nodes", &node("n")).await.expect(201);
    second.run_task("feed.follow").await;
    for path in ["/services/a", "/services/b", "/nodes/n"] {
        here.delete(path).await.expect(204);
    }
    let batch = there.post("/services/batch", &json!({"services": [service("b", "x")]})).await.expect(200);
    assert_eq!(batch["items"][0]["status"], 201, "{batch}");
    first.run_task("feed.follow").await;
    here.delete("/services/b").await.expect(204);
    there.post("/services", &service("a", "x")).await.expect(201);
    there.post("/nodes", &node("n")).await.expect(201);
    first.stop().await;
    second.stop().await;
}

/// A token that is bound to a name takes over no service of another name that it has not heard of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_token_takes_over_nothing_that_is_new() {
    let Some((first, second)) = deaf().await else { return };
    let own = second.with_token(&token(&second, "mine").await);
    let here = first.admin().await;
    here.post("/services", &service("a", "theirs")).await.expect(201);
    own.post("/services", &service("a", "mine")).await.expect(403);
    here.post("/services", &service("b", "theirs")).await.expect(201);
    let batch = json!({"services": [service("b", "mine"), service("c", "mine")]});
    let batch = own.post("/services/batch", &batch).await.expect(200);
    let statuses: Vec<_> = batch["items"].as_array().unwrap().iter().map(|item| item["status"].clone()).collect();
    assert_eq!(statuses, [403, 201], "{batch}");
    first.run_task("feed.follow").await;
    here.patch("/services/c", &json!({"service_name": "theirs"})).await.expect(200);
    own.delete("/services/c").await.expect(403);
    first.stop().await;
    second.stop().await;
}

/// Two first registrations of one id that meet are one registration and one renewal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_first_registrations_that_meet_are_one() {
    let Some((first, second)) = deaf().await else { return };
    let (here, there) = (first.admin().await, second.admin().await);
    // Whoever holds the row of the feed lets both judge what is not there, and commit afterwards.
    let mut held = first.app().db.write().await.unwrap();
    on_db!(&mut held, |c| sqlx::query("UPDATE feed_head SET revision = revision").execute(c).await.map(drop)).unwrap();
    let waiting = async || {
        let sql =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        (number(&first, sql).await == 2).then_some(())
    };
    let release = async {
        eventually("two that wait", waiting).await;
        drop(held);
    };
    let (one, two) = (service("a", "one"), service("a", "two"));
    let (one, two, ()) = tokio::join!(here.post("/services", &one), there.post("/services", &two), release);
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201], "{one:?} {two:?}");
    let last = if one.status == 200 { one } else { two };
    first.run_task("feed.follow").await;
    second.run_task("feed.follow").await;
    for of in [here, there] {
        let stored = of.get("/services/a").await.expect(200);
        assert_eq!(
            (&stored["service_name"], &stored["revision"]),
            (&last.json["service_name"], &last.json["revision"])
        );
    }
    let audit = here.get("/audit-logs?resource_type=services").await.expect(200);
    let mut actions: Vec<_> =
        audit["items"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    actions.sort_unstable();
    assert_eq!(actions, ["create", "update"], "{audit}");
    first.stop().await;
    second.stop().await;
}
