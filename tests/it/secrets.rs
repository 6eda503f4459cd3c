//! Secrets: set by administrators, used by plugins' requests, shown to nobody.

use std::os::unix::fs::PermissionsExt as _;

use looma::{db::AsConn, on_db};
use looma_tests::{Client, Receiver, Store, TestServer, both_databases};
use serde_json::{Value, json};

const VALUE: &str = "tr0ub4dor-and-3-horses";

async fn set(admin: &Client, name: &str, value: &str) -> looma_tests::Answer {
    admin.put(&format!("/secrets/{name}"), &json!({"value": value})).await
}

/// Makes the channel `hook`, which posts to the receiver with the secret in a header.
async fn channel(looma: &TestServer, receiver: &Receiver) {
    looma.load_plugins(&["webhook"]).await;
    let admin = looma.admin().await;
    let grants = json!({"http": [receiver.url()], "secrets": ["hook-token"]});
    admin.put("/plugins/webhook/grants", &grants).await.expect(200);
    let secret = json!({"header": "Authorization", "secret": "hook-token", "prefix": "Bearer "});
    let config = json!({"url": format!("{}/hook", receiver.url()), "secret_header": secret});
    admin.post("/channels", &json!({"name": "hook", "notifier": "webhook", "config": config})).await.expect(201);
}

/// What came of a test of the channel.
async fn deliver(looma: &TestServer) -> Value {
    looma.admin().await.post("/channels/hook/test", &json!({})).await.expect(200)
}

/// Every text that the database holds in tables where a value could have slipped into.
async fn everything_stored(looma: &TestServer) -> String {
    let mut reader = looma.app().db.read().await.unwrap();
    let mut all = String::new();
    for sql in [
        "SELECT sealed || key_id FROM secrets",
        "SELECT coalesce(CAST(value AS TEXT), '') FROM changes",
        "SELECT coalesce(CAST(before_value AS TEXT), '') || coalesce(CAST(after_value AS TEXT), '') FROM audit_logs",
        "SELECT coalesce(last_error, '') FROM notifications",
    ] {
        let rows: Vec<String> = texts(&mut reader, sql).await;
        assert!(!rows.is_empty() || sql.contains("notifications"), "{sql}");
        all.push_str(&rows.join("\n"));
    }
    all
}

async fn texts(on: &mut dyn AsConn, sql: &'static str) -> Vec<String> {
    on_db!(on, |c| sqlx::query_scalar(sql).fetch_all(c).await).unwrap()
}

both_databases! {
    /// A secret is set, replaced, listed and deleted, and its value is in no answer, on no feed and in no audit.
    async fn values_come_in_and_never_go_out(looma: TestServer) {
        let admin = looma.admin().await;
        let made = set(admin, "hook-token", VALUE).await;
        assert_eq!(made.header("location"), Some("/api/v1/secrets/hook-token"));
        let made = made.expect(201);
        assert_eq!((&made["name"], &made["version"], &made["error"]), (&json!("hook-token"), &json!(1), &json!(null)));
        let known = ["created_at", "error", "name", "updated_at", "updated_by", "version"];
        assert!(made.as_object().unwrap().keys().eq(known), "{made}");
        looma.advance(std::time::Duration::from_secs(5));
        assert_eq!(set(admin, "hook-token", "another-long-value").await.expect(200)["version"], 2);
        let list = admin.get("/secrets").await.expect(200);
        assert_eq!((&list["items"][0]["version"], &list["next"]), (&json!(2), &json!(null)));
        assert_ne!(list["items"][0]["created_at"], list["items"][0]["updated_at"]);
        let one = admin.get("/secrets/hook-token").await;
        assert_eq!(one.json, list["items"][0]);
        let etag = one.header("etag").unwrap().to_owned();
        set(admin, "hook-token", VALUE).await.expect(200);
        let late = admin.request(reqwest::Method::PUT, "/secrets/hook-token").header("if-match", etag);
        admin.send(late.json(&json!({"value": "too late for that"}))).await.expect(412);
        let stored = everything_stored(looma).await;
        assert!(!stored.contains(VALUE) && !stored.contains("another-long-value"), "{stored}");
        let audit = admin.get("/audit-logs?resource_type=secrets").await.expect(200);
        let actions: Vec<_> = audit["items"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["update", "update", "create"]);
        admin.delete("/secrets/hook-token").await.expect(204);
        admin.get("/secrets/hook-token").await.expect(404);
        admin.delete("/secrets/hook-token").await.expect(404);
    }

    /// What is no name or no value is told at its place, without the value; only administrators come near.
    async fn faults_are_told_without_the_value(looma: TestServer) {
        let admin = looma.admin().await;
        let refused = set(admin, "-no%20name", "short").await;
        assert_eq!(refused.pointers(), ["/name", "/value"]);
        refused.expect(422);
        let long = "x".repeat(65_537);
        for value in [&long, "long enough\u{0}", "12345"] {
            let refused = set(admin, "token", value).await;
            assert_eq!(refused.pointers(), ["/value"]);
            assert!(!String::from_utf8_lossy(&refused.bytes).contains(value));
        }
        for client in [looma.operator().await, looma.viewer().await] {
            client.get("/secrets").await.expect(403);
            set(client, "token", VALUE).await.expect(403);
            client.delete("/secrets/token").await.expect(403);
        }
        assert_eq!(admin.get("/secrets").await.expect(200)["items"], json!([]));
    }

    /// A webhook carries the secret that it names, the new value once it was replaced, and none once it is gone.
    async fn a_notification_carries_the_secret(looma: TestServer) {
        let receiver = Receiver::start().await;
        channel(looma, &receiver).await;
        let missing = deliver(looma).await;
        assert!(missing["last_error"].as_str().unwrap().contains("there is no secret \"hook-token\""), "{missing}");
        let admin = looma.admin().await;
        for value in [VALUE, "another-long-value"] {
            set(admin, "hook-token", value).await;
            assert_eq!(deliver(looma).await["status"], "delivered");
            let head = receiver.next().await.head;
            assert!(head.contains(&format!("authorization: Bearer {value}\r\n")), "{head}");
        }
        admin.delete("/secrets/hook-token").await.expect(204);
        assert_eq!(deliver(looma).await["status"], "failed");
        assert!(receiver.taken().await.is_none());
    }

    /// A server that says the secret back does not bring it into errors, nor into the database.
    async fn a_secret_that_is_said_back_is_masked(looma: TestServer) {
        let receiver = Receiver::start().await;
        channel(looma, &receiver).await;
        set(looma.admin().await, "hook-token", VALUE).await.expect(201);
        receiver.show(&json!({"you sent": format!("Bearer {VALUE}")}));
        receiver.answer(403);
        let failed = deliver(looma).await;
        let told = failed["last_error"].as_str().unwrap();
        assert!(told.contains("Bearer ***") && !told.contains(VALUE), "{told}");
        assert!(!everything_stored(looma).await.contains(VALUE));
    }
}

/// Secrets outlive the server, in a file of SQLite that does not hold their values, under a key that its owner alone reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_file_does_not_hold_the_value() {
    let receiver = Receiver::start().await;
    let looma = TestServer::start(Store::sqlite()).await;
    channel(&looma, &receiver).await;
    set(looma.admin().await, "hook-token", VALUE).await.expect(201);
    let looma = looma.restart().await;
    assert_eq!(deliver(&looma).await["status"], "delivered");
    assert!(receiver.next().await.head.contains(VALUE));
    let store = looma.store().clone();
    let key = store.dir().join("secrets-key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    looma.stop().await;
    let mut looked_at = 0;
    for entry in std::fs::read_dir(store.dir()).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(VALUE.len()).any(|window| window == VALUE.as_bytes()), "{}", entry.path().display());
        looked_at += 1;
    }
    assert!(looked_at >= 3, "the database and two keys");
}

/// With another key the server starts and says in words which secrets it cannot use and why; it overwrites none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_is_told_in_words() {
    let receiver = Receiver::start().await;
    let looma = TestServer::start(Store::sqlite()).await;
    channel(&looma, &receiver).await;
    set(looma.admin().await, "hook-token", VALUE).await.expect(201);
    let key = looma.store().dir().join("secrets-key");
    let right = std::fs::read(&key).unwrap();
    std::fs::write(&key, format!("{}\n", "ab".repeat(32))).unwrap();
    let looma = looma.restart().await;
    let admin = looma.admin().await;
    let shown = admin.get("/secrets/hook-token").await.expect(200);
    assert!(shown["error"].as_str().unwrap().contains("it is sealed under the key"), "{shown}");
    let failed = deliver(&looma).await;
    assert!(failed["last_error"].as_str().unwrap().contains("secrets.key_file"), "{failed}");
    for name in ["hook-token", "new-token"] {
        let refused = set(admin, name, "another-long-value").await.expect(409);
        assert!(refused["detail"].as_str().unwrap().contains("secrets.key_file"), "{refused}");
    }
    std::fs::write(&key, right).unwrap();
    let looma = looma.restart().await;
    assert_eq!(deliver(&looma).await["status"], "delivered");
    assert!(receiver.next().await.head.contains(VALUE));
    std::fs::remove_file(&key).unwrap();
    let looma = looma.restart().await;
    let admin = looma.admin().await;
    admin.delete("/secrets/hook-token").await.expect(204);
    set(admin, "hook-token", "another-long-value").await.expect(201);
    assert_eq!(deliver(&looma).await["status"], "delivered");
    looma.stop().await;
}

/// A key that others can read is refused before anything is opened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_others_can_read_is_refused() {
    let store = Store::sqlite();
    let mut settings = store.settings();
    let key = store.dir().join("shared-key");
    std::fs::write(&key, "ab".repeat(32)).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    settings.secrets.key_file = Some(key);
    let clock = looma::clock::Clock::system();
    let start = looma::run::Start { settings, clock, admin_password: None };
    let error = format!("{:#}", looma::run::start(start).await.err().unwrap());
    assert!(error.contains("the key of the secrets and can be read by others"), "{error}");
}

/// What one replica sets the other uses, as soon as it has followed: they share the key file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_secrets() {
    let Some(store) = Store::postgres().await else { return };
    let receiver = Receiver::start().await;
    let one = TestServer::start(store.clone()).await;
    let other = TestServer::start(store).await;
    channel(&one, &receiver).await;
    looma_tests::eventually("webhook on the other replica", async || {
        other.run_task("feed.follow").await;
        (other.admin().await.get("/plugins/webhook").await.status == 200).then_some(())
    })
    .await;
    for value in [VALUE, "another-long-value"] {
        set(one.admin().await, "hook-token", value).await;
        other.run_task("feed.follow").await;
        other.run_task("secrets.follow").await;
        assert_eq!(deliver(&other).await["status"], "delivered");
        assert!(receiver.next().await.head.contains(value));
    }
    one.admin().await.delete("/secrets/hook-token").await.expect(204);
    other.run_task("feed.follow").await;
    assert_eq!(deliver(&other).await["status"], "failed");
    other.stop().await;
    one.stop().await;
}
