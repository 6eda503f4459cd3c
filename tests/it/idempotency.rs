//! `Idempotency-Key`: a request that is sent twice is done once.

use std::{sync::Arc, time::Duration};

use looma::on_db;
use looma_tests::{ADMIN_PASSWORD, Answer, Client, Store, TestServer, both_databases};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

async fn post(client: &Client, path: &str, key: &str, body: &Value) -> Answer {
    client.send(client.request(Method::POST, path).header("idempotency-key", key).json(body)).await
}

fn user(username: &str) -> Value {
    json!({"username": username, "password": ADMIN_PASSWORD, "role": "viewer"})
}

/// How often the task `http.prune` has run.
async fn runs(client: &Client) -> i64 {
    let tasks = client.get("/tasks").await.expect(200);
    let task = tasks["items"].as_array().unwrap().iter().find(|task| task["name"] == "http.prune").unwrap();
    task["runs"].as_i64().unwrap()
}

/// Does to the database what no request can.
async fn sql(looma: &TestServer, sql: &'static str) {
    let mut tx = looma.app().db.write().await.unwrap();
    on_db!(&mut tx, |c| sqlx::query(sql).execute(c).await.map(drop)).unwrap();
    tx.commit().await.unwrap();
}

const RUN: &str = "/tasks/http.prune/run";

both_databases! {
    /// The second answer is the first one, and says so.
    async fn a_request_sent_twice_is_done_once(looma: TestServer) {
        let admin = looma.admin().await;
        let first = post(admin, "/users", "k-1", &user("ann")).await;
        let again = post(admin, "/users", "k-1", &user("ann")).await;
        assert_eq!((first.status, again.status), (201, 201), "{again:?}");
        assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
        for name in ["location", "content-type"] {
            assert!(first.header(name).is_some() && first.header(name) == again.header(name), "{name}");
        }
        assert_ne!(first.header("x-request-id"), again.header("x-request-id"));
        assert_eq!(first.bytes, again.bytes);
        admin.post("/users", &user("ann")).await.expect(409);
    }

    /// A refusal is repeated too, as a problem of the request at hand.
    async fn a_refusal_is_repeated(looma: TestServer) {
        let admin = looma.admin().await;
        let first = post(admin, "/users", "k-1", &user("admin")).await;
        let again = post(admin, "/users", "k-1", &user("admin")).await;
        assert_eq!((first.status, again.status), (409, 409));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.json["request_id"].as_str(), again.header("x-request-id"));
        assert_eq!((&again.json["detail"], &again.json["instance"]), (&first.json["detail"], &json!("/api/v1/users")));
    }

    /// Another body, or another query, under the same key is refused; another key, path or caller is another request.
    async fn a_key_stands_for_one_request(looma: TestServer) {
        let admin = looma.admin().await;
        post(admin, "/users", "k-1", &user("ann")).await.expect(201);
        let other = post(admin, "/users", "k-1", &user("bob")).await;
        assert_eq!(other.pointers(), ["/Idempotency-Key"]);
        other.expect(422);
        post(admin, "/users?x=1", "k-1", &user("ann")).await.expect(422);
        post(admin, "/users", "k-2", &user("bob")).await.expect(201);
        post(admin, RUN, "k-1", &json!({})).await.expect(200);
        admin.post("/users", &json!({"username": "root", "password": ADMIN_PASSWORD, "role": "admin"})).await.expect(201);
        let root = looma.sign_in("root", ADMIN_PASSWORD).await;
        post(&root, "/users", "k-1", &user("cyd")).await.expect(201);
    }

    /// Signing in anew changes nothing: the key is the user's.
    async fn a_key_outlives_the_session(looma: TestServer) {
        post(looma.admin().await, "/users", "k-1", &user("ann")).await.expect(201);
        let anew = looma.sign_in("admin", ADMIN_PASSWORD).await;
        assert_eq!(post(&anew, "/users", "k-1", &user("ann")).await.header("idempotency-replayed"), Some("true"));
    }

    /// A key is good for a day; then it is forgotten, and new.
    async fn a_key_is_kept_for_a_day(looma: TestServer) {
        let admin = looma.sign_in("admin", ADMIN_PASSWORD).await;
        post(&admin, RUN, "k-1", &json!({})).await.expect(200);
        looma.advance(Duration::from_secs(24 * 3600 - 1));
        let admin = looma.sign_in("admin", ADMIN_PASSWORD).await;
        let before = runs(&admin).await;
        assert_eq!(post(&admin, RUN, "k-1", &json!({})).await.header("idempotency-replayed"), Some("true"));
        assert_eq!(runs(&admin).await, before);
        looma.advance(Duration::from_secs(1));
        assert_eq!(post(&admin, RUN, "k-1", &json!({})).await.header("idempotency-replayed"), None);
    }

    /// What is older than a day is deleted.
    async fn old_keys_are_deleted(looma: TestServer) {
        let admin = looma.sign_in("admin", ADMIN_PASSWORD).await;
        post(&admin, "/users", "k-1", &user("ann")).await.expect(201);
        for (seconds, left) in [(24 * 3600 - 1, 1), (1, 0)] {
            looma.advance(Duration::from_secs(seconds));
            looma.run_task("http.prune").await;
            let mut reader = looma.app().db.read().await.unwrap();
            let count = "SELECT count(*) AS n FROM idempotency_keys";
            let n: i64 = on_db!(&mut reader, |c| sqlx::query_scalar(count).fetch_one(c).await).unwrap();
            assert_eq!(n, left, "{seconds}");
        }
    }

    /// While the first request runs the second is told to wait; one that was cut off can be sent again after a minute.
    async fn a_running_request_is_not_run_beside_itself(looma: TestServer) {
        let admin = looma.admin().await;
        post(admin, RUN, "k-1", &json!({})).await.expect(200);
        sql(looma, "UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL").await;
        looma.advance(Duration::from_secs(59));
        let before = runs(admin).await;
        let refused = post(admin, RUN, "k-1", &json!({})).await;
        assert_eq!(refused.header("retry-after"), Some("1"));
        refused.expect(409);
        assert_eq!(runs(admin).await, before);
        looma.advance(Duration::from_secs(1));
        post(admin, RUN, "k-1", &json!({"other": "body"})).await.expect(422);
        let ran = post(admin, RUN, "k-1", &json!({})).await;
        assert_eq!(ran.header("idempotency-replayed"), None);
        ran.expect(200);
        assert_eq!(runs(admin).await, before + 1);
        assert_eq!(post(admin, RUN, "k-1", &json!({})).await.header("idempotency-replayed"), Some("true"));
    }

    /// A request that takes longer than a minute is not run beside itself either.
    async fn a_slow_request_is_not_run_beside_itself(looma: TestServer) {
        let admin = looma.sign_in("admin", ADMIN_PASSWORD).await;
        let (go, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (own, begins) = (go.clone(), begun.clone());
        looma.app().tasks.every("test.slow", Duration::from_secs(86_400), move || {
            let (go, begins) = (own.clone(), begins.clone());
            async move {
                begins.add_permits(1);
                go.acquire().await?.forget();
                Ok(())
            }
        });
        let (slow, body) = ("/tasks/test.slow/run", json!({}));
        let beside = async {
            begun.acquire().await.unwrap().forget();
            looma.advance(Duration::from_secs(61));
            let again = tokio::time::timeout(Duration::from_secs(20), post(&admin, slow, "k-1", &body)).await;
            let refused = again.expect("it does not wait for the first one");
            assert_eq!(refused.header("retry-after"), Some("1"));
            refused.expect(409);
            post(&admin, slow, "k-1", &json!({"other": "body"})).await.expect(422);
            go.add_permits(1);
        };
        let (ran, ()) = tokio::join!(post(&admin, slow, "k-1", &body), beside);
        ran.expect(200);
        assert_eq!(post(&admin, slow, "k-1", &body).await.header("idempotency-replayed"), Some("true"));
        assert_eq!(begun.available_permits(), 0);
    }

    /// Of many at once one is done, and every other is its replay or told to wait.
    async fn of_many_at_once_one_is_done(looma: TestServer) {
        let admin = looma.admin().await;
        let before = runs(admin).await;
        let all = (0..16).map(|_| async { post(admin, RUN, "k-1", &json!({})).await });
        let mut done = 0;
        for answer in futures(all).await {
            done += u32::from(answer.status == 200 && answer.header("idempotency-replayed").is_none());
            assert!(answer.status == 200 || answer.status == 409, "{answer:?}");
        }
        assert_eq!((done, runs(admin).await), (1, before + 1));
    }

    /// A failure of ours is not kept: the same request may be sent again.
    async fn a_failure_is_not_kept(looma: TestServer) {
        let admin = looma.admin().await;
        sql(looma, "ALTER TABLE cluster_users RENAME TO hidden").await;
        post(admin, "/users", "k-1", &user("ann")).await.expect(500);
        sql(looma, "ALTER TABLE hidden RENAME TO cluster_users").await;
        let made = post(admin, "/users", "k-1", &user("ann")).await;
        assert_eq!(made.header("idempotency-replayed"), None);
        made.expect(201);
    }

    /// A refusal of the caller is not kept: with the right role the same request is done.
    async fn a_refusal_of_the_caller_is_not_kept(looma: TestServer) {
        let (admin, viewer) = (looma.admin().await, looma.viewer().await);
        post(viewer, "/users", "k-1", &user("ann")).await.expect(403);
        let id = viewer.get("/auth/me").await.expect(200)["user_id"].as_str().unwrap().to_owned();
        admin.patch(&format!("/users/{id}"), &json!({"role": "admin"})).await.expect(200);
        post(viewer, "/users", "k-1", &user("ann")).await.expect(201);
        post(&looma.anonymous(), "/users", "k-1", &user("ann")).await.expect(401);
    }

    /// A key that is none is refused before anything is done.
    async fn a_bad_key_is_refused(looma: TestServer) {
        let admin = looma.admin().await;
        for key in [String::new(), "k".repeat(201), "a\tb".to_owned()] {
            let refused = post(admin, "/users", &key, &user("ann")).await;
            assert_eq!(refused.pointers(), ["/Idempotency-Key"], "{key:?}");
            refused.expect(422);
        }
        let twice = admin.request(Method::POST, "/users").header("idempotency-key", "a").header("idempotency-key", "b");
        admin.send(twice.json(&user("ann"))).await.expect(422);
        post(admin, "/users", &"k".repeat(200), &user("ann")).await.expect(201);
    }

    /// What shows a secret is never kept: each time it is done anew.
    async fn answers_with_secrets_are_not_kept(looma: TestServer) {
        let admin = looma.admin().await;
        let token = json!({"name": "ci", "scopes": []});
        let (first, second) = (post(admin, "/tokens", "k-1", &token).await, post(admin, "/tokens", "k-1", &token).await);
        assert_ne!(first.expect(201)["token"], second.expect(201)["token"]);
        let login = json!({"username": "admin", "password": ADMIN_PASSWORD});
        let (first, second) = (post(admin, "/auth/login", "k-1", &login).await, post(admin, "/auth/login", "k-1", &login).await);
        assert_ne!(first.expect(200)["refresh_token"], second.expect(200)["refresh_token"]);
        let mut reader = looma.app().db.read().await.unwrap();
        let count = "SELECT count(*) AS n FROM idempotency_keys";
        let n: i64 = on_db!(&mut reader, |c| sqlx::query_scalar(count).fetch_one(c).await).unwrap();
        assert_eq!(n, 0);
    }

    /// A body past the limit is answered as it would be without a key.
    async fn a_body_past_the_limit_takes_no_key(looma: TestServer) {
        let admin = looma.admin().await;
        let large = json!({"username": "x".repeat(looma.app().settings.server.body_limit)});
        post(admin, "/users", "k-1", &large).await.expect(413);
        post(admin, "/users", "k-1", &user("ann")).await.expect(201);
    }
}

/// Runs all of them at once.
async fn futures(all: impl Iterator<Item = impl Future<Output = Answer>>) -> Vec<Answer> {
    futures_util::future::join_all(all).await
}

/// A request whose caller goes away is done all the same, and its answer waits for the retry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_outlives_its_caller() {
    use tokio::io::AsyncWriteExt as _;
    let looma = TestServer::start(Store::sqlite()).await;
    let admin = looma.admin().await;
    let count = "SELECT count(*) AS n FROM idempotency_keys";
    let claims = async || {
        let mut reader = looma.app().db.read().await.unwrap();
        on_db!(&mut reader, |c| sqlx::query_scalar::<_, i64>(count).fetch_one(c).await).unwrap()
    };
    let mut attempt = 0;
    let (name, key, before, caller, tx) = loop {
        attempt += 1;
        assert!(attempt <= 20, "each was done before it could be held up");
        let (name, key) = (format!("ann-{attempt}"), format!("k-{attempt}"));
        let body = user(&name).to_string();
        let head = format!(
            "POST /api/v1/users HTTP/1.1\r\nhost: looma\r\nauthorization: Bearer {}\r\nidempotency-key: {key}\r\n\
            content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            admin.token().unwrap(),
            body.len()
        );
        let mut caller = tokio::net::TcpStream::connect(looma.running.address).await.unwrap();
        let before = looma.app().feed.head();
        caller.write_all(head.as_bytes()).await.unwrap();
        while claims().await < attempt {
            tokio::task::yield_now().await;
        }
        // The key is taken and the password is being hashed: the one connection that writes is ours until the caller is gone. On
        // a busy machine it may be hashed already; then the next one is tried.
        let tx = looma.app().db.write().await.unwrap();
        if looma.app().feed.head() == before {
            break (name, key, before, caller, tx);
        }
    };
    drop(caller);
    for _ in 0..20 {
        admin.get("/auth/me").await.expect(200);
    }
    drop(tx);
    let patience = Duration::from_secs(20);
    let mut heads = looma.app().feed.subscribe();
    tokio::time::timeout(patience, heads.wait_for(|head| *head > before)).await.expect("it is done").unwrap();
    let retried = async {
        loop {
            let answer = post(admin, "/users", &key, &user(&name)).await;
            if answer.status != 409 {
                break answer;
            }
        }
    };
    let answer = tokio::time::timeout(patience, retried).await.expect("its answer is kept");
    assert_eq!(answer.header("idempotency-replayed"), Some("true"));
    answer.expect(201);
    looma.stop().await;
}
