//! Two replicas on one PostgreSQL are one cluster. What each asks the other's writes for is in `access` and `registry`, the
//! end of one that was away for too long in `behind`.

mod access;
mod behind;
mod registry;

use std::time::Duration;

use looma::{
    clock::{Clock, Timestamp},
    db::Db,
    on_db,
    run::Start,
};
use looma_tests::{ADMIN_PASSWORD, Client, Store, TestServer, eventually};
use reqwest::Method;
use serde_json::json;

async fn two() -> Option<(TestServer, TestServer)> {
    let store = Store::postgres().await?;
    let first = TestServer::start(store.clone()).await;
    Some((first, TestServer::start(store).await))
}

/// How many replicas listen for what others commit.
const LISTENERS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'";

/// Two replicas that hear nothing of each other unless they ask: the connections that would wake them are gone.
async fn deaf() -> Option<(TestServer, TestServer)> {
    let (first, second) = two().await?;
    listen(&first).await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
        WHERE datname = current_database() AND query LIKE 'LISTEN %'";
    assert_eq!(number(&first, end).await, 2);
    for replica in [&first, &second] {
        eventually("an end of listening", async || error_of_listening(replica)).await;
    }
    Some((first, second))
}

/// Waits until both replicas listen.
async fn listen(either: &TestServer) {
    eventually("two that listen", async || (number(either, LISTENERS).await == 2).then_some(())).await;
}

fn error_of_listening(replica: &TestServer) -> Option<String> {
    replica.app().tasks.list().into_iter().find(|task| task.name == "feed.listen")?.last_error
}

/// Waits until a replica has a service in memory: asking for it over HTTP would make it look.
async fn has(replica: &TestServer, id: &str) {
    eventually(id, async || replica.app().registry.service(&id.into())).await;
}

/// A number out of the database that both replicas use.
async fn number(replica: &TestServer, sql: &'static str) -> i64 {
    let mut reader = replica.app().db.read().await.unwrap();
    on_db!(&mut reader, |c| sqlx::query_scalar(sql).fetch_one(c).await).unwrap()
}

fn service() -> serde_json::Value {
    json!({"service_id": "a", "service_name": "name", "service_type": "t", "service_url": "http://a", "ttl_seconds": 10})
}

/// What one has acknowledged the other finds as soon as it has followed, and revisions are the same on both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_finds_what_the_other_registered() {
    let Some((first, second)) = two().await else { return };
    let stored = first.admin().await.post("/services", &service()).await.expect(201);
    second.run_task("feed.follow").await;
    let found = second.viewer().await.get("/discovery/name").await.expect(200);
    assert_eq!(found["items"][0]["revision"], stored["revision"]);
    assert_eq!(found["revision"], stored["revision"]);
    first.stop().await;
    second.stop().await;
}

/// A commit at one replica wakes the other: time stands still, so that nothing runs because its time has come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_wakes_the_other() {
    let Some((first, second)) = two().await else { return };
    listen(&first).await;
    first.admin().await.post("/services", &service()).await.expect(201);
    has(&second, "a").await;
    first.stop().await;
    second.stop().await;
}

/// A lost connection is told of and made anew; meanwhile replicas read on of themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_made_anew() {
    let Some((first, second)) = deaf().await else { return };
    let admin = first.admin().await;
    let mut named = service();
    admin.post("/services", &named).await.expect(201);
    assert_eq!(second.app().registry.service(&"a".into()), None);
    second.run_task("feed.follow").await;
    has(&second, "a").await;
    [&first, &second].iter().for_each(|replica| replica.advance(Duration::from_secs(1)));
    listen(&first).await;
    for replica in [&first, &second] {
        eventually("listening", async || error_of_listening(replica).is_none().then_some(())).await;
    }
    named["service_id"] = "b".into();
    admin.post("/services", &named).await.expect(201);
    has(&second, "b").await;
    first.stop().await;
    second.stop().await;
}

/// A service that beats at one replica is not expired by the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_at_one_counts_for_both() {
    let Some((first, second)) = two().await else { return };
    first.admin().await.post("/services", &service()).await.expect(201);
    second.run_task("feed.follow").await;
    for _ in 0..6 {
        for replica in [&first, &second] {
            replica.advance(Duration::from_secs(5));
        }
        second.admin().await.post("/services/a/heartbeat", &json!({})).await.expect(204);
        second.run_task("registry.flush").await;
        for replica in [&first, &second] {
            replica.run_task("registry.expire").await;
            replica.run_task("feed.follow").await;
        }
    }
    for replica in [&first, &second] {
        let service = replica.admin().await.get("/services/a").await.expect(200);
        assert_eq!(service["health_status"], "healthy", "{service}");
    }
    first.stop().await;
    second.stop().await;
}

/// A session that ends at one replica ends at the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_everywhere() {
    let Some((first, second)) = two().await else { return };
    let here = first.sign_in("admin", ADMIN_PASSWORD).await;
    second.run_task("feed.follow").await;
    let there = second.with_token(here.token().unwrap());
    there.get("/auth/me").await.expect(200);
    here.post("/auth/logout", &json!({})).await.expect(204);
    second.run_task("feed.follow").await;
    there.get("/auth/me").await.expect(401);
    first.stop().await;
    second.stop().await;
}

/// Of two that start at once on an empty database one makes the administrator; the other starts as well, and leaves no
/// password that opens nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_administrator_is_made_once() {
    let Some(here) = Store::postgres().await else { return };
    let there = here.beside();
    let start = |store: &Store| {
        let (clock, _) = Clock::manual(Timestamp::parse("2026-01-01T00:00:00Z").unwrap());
        looma::run::start(Start { settings: store.settings(), clock, admin_password: None })
    };
    // Both have seen that there is no user before either can make one.
    let db = Db::open(&here.url().unwrap().parse().unwrap(), 2).await.unwrap();
    let mut held = db.write().await.unwrap();
    let lock = "LOCK TABLE cluster_users IN EXCLUSIVE MODE";
    on_db!(&mut held, |c| sqlx::query(lock).execute(c).await.map(drop)).unwrap();
    let let_go = async {
        eventually("two that wait", async || {
            let waiting =
                "SELECT count(*) AS n FROM pg_locks WHERE relation = 'cluster_users'::regclass AND NOT granted";
            let mut reader = db.read().await.unwrap();
            let n: i64 = on_db!(&mut reader, |c| sqlx::query_scalar(waiting).fetch_one(c).await).unwrap();
            (n == 2).then_some(())
        })
        .await;
        held.commit().await.unwrap();
    };
    let (first, second, ()) = tokio::join!(start(&here), start(&there), let_go);
    let (first, second) = (first.unwrap(), second.unwrap());
    let passwords: Vec<String> = [&here, &there]
        .iter()
        .filter_map(|store| std::fs::read_to_string(store.dir().join("admin-password")).ok())
        .collect();
    let [password] = &passwords[..] else { panic!("{} passwords were written", passwords.len()) };
    for running in [first, second] {
        let client = Client::new(format!("http://{}", running.address), None);
        running.app.tasks.run_now("feed.follow").await.unwrap();
        client.post("/auth/login", &json!({"username": "admin", "password": password.trim()})).await.expect(200);
        running.stop().await.unwrap();
    }
    db.close().await;
}

/// While a request runs at one replica, the other does not run it under the same key, however long that takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_request_is_not_run_at_the_other() {
    let Some((first, second)) = two().await else { return };
    let here = first.sign_in("admin", ADMIN_PASSWORD).await;
    second.run_task("feed.follow").await;
    let there = second.with_token(here.token().unwrap());
    let go = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let (own, begun) = (go.clone(), std::sync::Arc::new(tokio::sync::Semaphore::new(0)));
    let begins = begun.clone();
    first.app().tasks.every("test.slow", Duration::from_secs(86_400), move || {
        let (go, begins) = (own.clone(), begins.clone());
        async move {
            begins.add_permits(1);
            go.acquire().await?.forget();
            Ok(())
        }
    });
    let run = |client: &Client| {
        let request = client.request(Method::POST, "/tasks/test.slow/run").header("idempotency-key", "k-1");
        let (client, request) = (client.clone(), request.json(&json!({})));
        async move { client.send(request).await }
    };
    let beside = async {
        begun.acquire().await.unwrap().forget();
        let mut renewed = Timestamp::MIN;
        for _ in 0..6 {
            let before = renewed;
            renewed = eventually("renewed claim", async || {
                first.advance(Duration::from_secs(1));
                second.advance(Duration::from_secs(1));
                let mut reader = first.app().db.read().await.unwrap();
                let at = "SELECT created_at FROM idempotency_keys";
                let at: Timestamp = on_db!(&mut reader, |c| sqlx::query_scalar(at).fetch_one(c).await).unwrap();
                (at > before).then_some(at)
            })
            .await;
        }
        let refused = run(&there).await;
        assert_eq!(refused.header("retry-after"), Some("1"));
        refused.expect(409);
        go.add_permits(1);
    };
    let (ran, ()) = tokio::join!(run(&here), beside);
    assert_eq!(ran.header("idempotency-replayed"), None);
    ran.expect(200);
    let again = run(&there).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    again.expect(200);
    first.stop().await;
    second.stop().await;
}
