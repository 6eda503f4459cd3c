//! What plugins keep: within a quota, until it expires, and out of each other's reach.

use std::time::Duration;

use looma::{on_db, plugins::CallError};
use looma_tests::{Store, TestServer, both_databases, plugins::guest};
use serde_json::json;

/// A strategy that does with the key in its cursor what the first letter of its configuration says (set, set for a second, get,
/// delete; `e` says the rest back), and tells what came of it as an error.
fn keeper(name: &str) -> Vec<u8> {
    let imports = r#"
        (import "looma:host/kv@0.1.0" "get" (func $get (param i32 i32 i32)))
        (import "looma:host/kv@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))
        (import "looma:host/kv@0.1.0" "delete" (func $delete (param i32 i32 i32)))"#;
    let functions = r#"
        (data (i32.const 3000) "noneoktoo large")
        (func $say (param i32 i32) (i32.store (i32.const 1544) (local.get 0)) (i32.store (i32.const 1548) (local.get 1)))
        (func $is (param i32) (result i32) (i32.eq (global.get $op) (local.get 0)))
        (global $op (mut i32) (i32.const 0))
        (func (export "looma:discovery/strategy@0.1.0#discover")
            (param $c i32) (param $cl i32) (param $has i32) (param $k i32) (param $kl i32) (result i32)
            (global.set $op (i32.load8_u (local.get $c)))
            (local.set $c (i32.add (local.get $c) (i32.const 1)))
            (local.set $cl (i32.sub (local.get $cl) (i32.const 1)))
            (i32.store8 (i32.const 1536) (i32.const 1))
            (i32.store8 (i32.const 1540) (i32.const 3))
            (block $done
                (if (call $is (i32.const 101)) (then (call $say (local.get $c) (local.get $cl)) (br $done)))
                (if (call $is (i32.const 103)) (then
                    (call $get (local.get $k) (local.get $kl) (i32.const 2048))
                    (if (i32.eqz (i32.load8_u (i32.const 2048))) (then
                        (if (i32.load8_u (i32.const 2056))
                            (then (call $say (i32.load (i32.const 2060)) (i32.load (i32.const 2064))))
                            (else (call $say (i32.const 3000) (i32.const 4))))
                        (br $done)))))
                (if (call $is (i32.const 115)) (then
                    (call $set (local.get $k) (local.get $kl) (local.get $c) (local.get $cl) (i32.const 0) (i64.const 0) (i32.const 2048))))
                (if (call $is (i32.const 116)) (then
                    (call $set (local.get $k) (local.get $kl) (local.get $c) (local.get $cl) (i32.const 1) (i64.const 1000) (i32.const 2048))))
                (if (call $is (i32.const 100)) (then (call $delete (local.get $k) (local.get $kl) (i32.const 2048))))
                (if (i32.eqz (i32.load8_u (i32.const 2048))) (then (call $say (i32.const 3004) (i32.const 2)) (br $done)))
                (if (i32.eq (i32.load8_u (i32.const 2056)) (i32.const 1))
                    (then (call $say (i32.const 3006) (i32.const 9)))
                    (else (call $say (i32.load (i32.const 2064)) (i32.load (i32.const 2068))))))
            (i32.const 1536))"#;
    guest(name, "import looma:host/kv@0.1.0; export looma:discovery/strategy@0.1.0;", imports, functions)
}

async fn load(looma: &TestServer, name: &str, kv_bytes: u64) {
    let admin = looma.admin().await;
    admin.put(&format!("/plugins/{name}/grants"), &json!({"kv_bytes": kv_bytes})).await.expect(200);
    admin.post_bytes("/plugins", "application/wasm", keeper(name)).await.expect(201);
}

/// What the plugin says of one step.
async fn step(looma: &TestServer, name: &str, what: &str, key: &str) -> String {
    let done = looma.app().plugins.discover(&name.parse().unwrap(), what, Some(key.to_owned())).await;
    match done {
        Err(CallError::Permanent(said)) => said,
        other => panic!("{other:?}"),
    }
}

async fn rows(looma: &TestServer) -> i64 {
    let mut reader = looma.app().db.read().await.unwrap();
    on_db!(&mut reader, |c| sqlx::query_scalar("SELECT count(*) FROM plugin_kv").fetch_one(c).await).unwrap()
}

both_databases! {
    /// A key is kept, replaced and deleted; nothing is kept without a grant, and nothing beyond the quota.
    async fn the_quota_holds(looma: TestServer) {
        load(looma, "keeper", 0).await;
        assert!(step(looma, "keeper", "sx", "a").await.contains("is granted no key-value store"));
        looma.admin().await.put("/plugins/keeper/grants", &json!({"kv_bytes": 1000})).await.expect(200);
        assert_eq!(step(looma, "keeper", "g", "a").await, "none");
        assert_eq!(step(looma, "keeper", &format!("s{}", "x".repeat(900)), "a").await, "ok");
        let full = step(looma, "keeper", &format!("s{}", "y".repeat(200)), "b").await;
        assert!(full.contains("is granted 1000 bytes"), "{full}");
        assert_eq!(step(looma, "keeper", "g", "b").await, "none");
        assert_eq!(step(looma, "keeper", "sshort", "a").await, "ok");
        assert_eq!(step(looma, "keeper", &format!("s{}", "y".repeat(200)), "b").await, "ok");
        assert_eq!(step(looma, "keeper", "g", "a").await, "short");
        assert_eq!(step(looma, "keeper", "d", "a").await, "ok");
        assert_eq!(step(looma, "keeper", "g", "a").await, "none");
    }

    /// Of many that ask at once for the last bytes, as many get them as there is room for.
    async fn the_quota_holds_for_many_at_once(looma: TestServer) {
        load(looma, "keeper", 500).await;
        let what = format!("s{}", "x".repeat(99));
        let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let said = futures_util::future::join_all(keys.map(|key| step(looma, "keeper", &what, key))).await;
        assert_eq!(said.iter().filter(|said| *said == "ok").count(), 3, "{said:?}");
        assert_eq!(rows(looma).await, 3);
    }

    /// A key that expires is gone at once, gives its bytes back, and is deleted by a task.
    async fn keys_expire(looma: TestServer) {
        load(looma, "keeper", 1000).await;
        let large = format!("t{}", "x".repeat(900));
        assert_eq!(step(looma, "keeper", &large, "a").await, "ok");
        assert!(step(looma, "keeper", "g", "a").await.starts_with("xxx"));
        looma.advance(Duration::from_millis(1_001));
        assert_eq!(step(looma, "keeper", "g", "a").await, "none");
        assert_eq!(step(looma, "keeper", &large, "b").await, "ok");
        assert_eq!(rows(looma).await, 2);
        looma.run_task("plugins.expire").await;
        assert_eq!(rows(looma).await, 1);
    }

    /// Keys and values that are too large are refused as that; whatever stands in a key, it is a key of the plugin's own.
    async fn keys_are_bounded_and_ones_own(looma: TestServer) {
        load(looma, "keeper", 4 << 20).await;
        load(looma, "other", 4 << 20).await;
        assert_eq!(step(looma, "keeper", "sx", &"k".repeat(513)).await, "too large");
        assert_eq!(step(looma, "keeper", "sx", "").await, "too large");
        assert_eq!(step(looma, "keeper", &format!("s{}", "x".repeat((1 << 20) + 1)), "a").await, "too large");
        assert!(step(looma, "keeper", "sx", "a\0b").await.contains("no NUL"));
        assert_eq!(step(looma, "keeper", &format!("s{}", "x".repeat(1 << 20)), &"k".repeat(512)).await, "ok");
        for key in ["other/a", "other:a", "../other/a", "a'; DROP TABLE plugin_kv; --", "ключ", "a%", "_"] {
            assert_eq!(step(looma, "keeper", "smine", key).await, "ok");
            assert_eq!(step(looma, "other", "g", key).await, "none");
            assert_eq!(step(looma, "keeper", "g", key).await, "mine");
        }
        assert_eq!(step(looma, "other", "stheirs", "a%").await, "ok");
        assert_eq!(step(looma, "other", "d", "_").await, "ok");
        assert_eq!(step(looma, "keeper", "g", "_").await, "mine");
        looma.admin().await.delete("/plugins/keeper").await.expect(204);
        assert_eq!(rows(looma).await, 1);
    }

    /// The value of a secret that a plugin came by is not in what it says.
    async fn secrets_are_masked_in_what_a_plugin_says(looma: TestServer) {
        load(looma, "keeper", 0).await;
        looma.admin().await.put("/secrets/token", &json!({"value": "a secret/value"})).await.expect(201);
        assert_eq!(step(looma, "keeper", "egot a secret/value", "a").await, "got ***");
        assert_eq!(step(looma, "keeper", "e?t=a%20secret%2Fvalue", "a").await, "?t=***");
    }
}

/// Keys outlive the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_outlive_a_restart() {
    let looma = TestServer::start(Store::sqlite()).await;
    load(&looma, "keeper", 1000).await;
    assert_eq!(step(&looma, "keeper", "sstill there", "a").await, "ok");
    let looma = looma.restart().await;
    assert_eq!(step(&looma, "keeper", "g", "a").await, "still there");
    looma.stop().await;
}
