//! A wall clock that is wrong, as a bad time server makes it: it must cost nothing that cannot be had back.

use std::time::Duration;

use looma::{lifecycle::TaskStatus, on_db};
use looma_tests::{ADMIN_PASSWORD, TestServer, both_databases};
use reqwest::Method;
use serde_json::json;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Everything that deletes by age.
const PRUNING: [&str; 7] =
    ["alerts.prune", "feed.prune", "http.prune", "metrics.retain", "notify.prune", "plugins.expire", "users.prune"];

/// A session, an answer that is kept for its key, and a sample.
async fn some_of_each(looma: &TestServer) {
    let admin = looma.sign_in("admin", ADMIN_PASSWORD).await;
    let user = json!({"username": "ann", "password": ADMIN_PASSWORD, "role": "viewer"});
    admin.send(admin.request(Method::POST, "/users").header("idempotency-key", "k-1").json(&user)).await.expect(201);
    let service = json!({"service_id": "a", "service_name": "a", "service_type": "t", "service_url": "http://a"});
    admin.post("/services", &service).await.expect(201);
    let sample = json!({"service_id": "a", "metric_name": "cpu", "metric_value": 1.0});
    admin.post("/metrics", &json!({"samples": [sample]})).await;
}

/// How many sessions, keys and points the database has.
async fn kept(looma: &TestServer) -> [i64; 3] {
    let mut reader = looma.app().db.read().await.unwrap();
    let mut counts = [0; 3];
    let tables = ["user_sessions", "idempotency_keys", "metric_points"];
    for (count, table) in counts.iter_mut().zip(tables) {
        let sql = format!("SELECT count(*) AS n FROM {table}");
        let sql = sqlx::AssertSqlSafe(sql);
        *count = on_db!(&mut reader, |c| sqlx::query_scalar(sql).fetch_one(c).await).unwrap();
    }
    counts
}

async fn run(looma: &TestServer, task: &str) -> TaskStatus {
    looma.app().tasks.run_now(task).await.unwrap()
}

/// Runs everything that deletes by age, and tells whose run was refused.
async fn refused(looma: &TestServer) -> Vec<&'static str> {
    let mut refused = Vec::new();
    for task in PRUNING {
        if let Some(error) = run(looma, task).await.last_error {
            assert!(error.contains("wall clock"), "{task}: {error}");
            refused.push(task);
        }
    }
    refused
}

both_databases! {
    /// A wall clock that runs weeks ahead within a moment deletes nothing, and each task says why.
    async fn a_jump_ahead_deletes_nothing(looma: TestServer) {
        some_of_each(looma).await;
        let before = kept(looma).await;
        assert!(before.iter().all(|count| *count > 0), "{before:?}");
        let right = looma.app().clock.now();
        looma.clock.jump(right.plus(60 * DAY));
        assert_eq!((refused(looma).await, kept(looma).await), (PRUNING.to_vec(), before));
        looma.clock.jump(right);
        assert_eq!((refused(looma).await, kept(looma).await), (Vec::new(), before));
    }

    /// A wall clock that stays where it jumped to is believed after a day.
    async fn a_jump_that_stands_is_believed(looma: TestServer) {
        some_of_each(looma).await;
        looma.clock.jump(looma.app().clock.now().plus(60 * DAY));
        assert_eq!(refused(looma).await, PRUNING);
        looma.advance(DAY - Duration::from_secs(1));
        assert_eq!(refused(looma).await, PRUNING);
        looma.advance(Duration::from_secs(1));
        assert_eq!((refused(looma).await, kept(looma).await), (Vec::new(), [0; 3]));
    }

    /// A key counts for as long as it is known to be a day old, whatever the wall clock says.
    async fn a_jump_ahead_forgets_no_key(looma: TestServer) {
        let admin = looma.sign_in("admin", ADMIN_PASSWORD).await;
        let token = json!({"username": "ann", "password": ADMIN_PASSWORD, "role": "viewer"});
        let ask = || admin.request(Method::POST, "/users").header("idempotency-key", "k-1").json(&token);
        admin.send(ask()).await.expect(201);
        looma.clock.jump(looma.app().clock.now().plus(2 * DAY));
        let anew = looma.sign_in("admin", ADMIN_PASSWORD).await;
        let ask = anew.request(Method::POST, "/users").header("idempotency-key", "k-1").json(&token);
        assert_eq!(anew.send(ask).await.header("idempotency-replayed"), Some("true"));
    }
}
