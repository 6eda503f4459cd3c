//! Uploading, versions, rolling back, switching, removing.

use looma_tests::{
    Client, TestServer, both_databases,
    plugins::{component, evaluator, guest, renewed},
};
use serde_json::{Value, json};

async fn upload(client: &Client, component: Vec<u8>) -> looma_tests::Answer {
    client.post_bytes("/plugins", "application/wasm", component).await
}

async fn judge(client: &Client) -> Value {
    let trial = json!({
        "config": {"comparison_operator": ">", "threshold_value": 90},
        "input": {"series": [{"points": [["2026-01-01T00:00:00Z", 95.0]]}, {"points": [["2026-01-01T00:00:00Z", 5.0]]}]},
    });
    client.post("/plugins/threshold/run", &trial).await.expect(200)
}

both_databases! {
    /// A component that is uploaded serves at once, says what it is, and serves again after a restart.
    async fn uploaded_plugin_serves(looma: TestServer) {
        let admin = looma.admin().await;
        let answer = upload(admin, component("threshold")).await;
        assert_eq!(answer.header("location"), Some("/api/v1/plugins/threshold"));
        let plugin = answer.expect(201);
        assert_eq!(
            (&plugin["kind"], &plugin["state"], &plugin["source"], &plugin["previous"]),
            (&json!("alert-evaluator"), &json!("active"), &json!("upload"), &json!([]))
        );
        assert_eq!(plugin["config_schema"]["type"], "object");
        let judged = judge(admin).await;
        assert_eq!((&judged["verdicts"][0]["level"], &judged["verdicts"][1]["level"]), (&json!(1), &json!(0)));
        assert_eq!(judged["plugin"]["digest"], plugin["digest"]);
        upload(admin, component("threshold")).await.expect(200);
        assert_eq!(admin.get("/plugins").await.expect(200)["items"].as_array().unwrap().len(), 1);
    }

    /// A rollback goes to the version before, and forward again; the history is kept.
    async fn rollback_goes_to_the_version_before(looma: TestServer) {
        let admin = looma.admin().await;
        let first = upload(admin, component("threshold")).await.expect(201);
        admin.post("/plugins/threshold/rollback", &json!({})).await.expect(409);
        let second = upload(admin, renewed(component("threshold"), "second")).await.expect(201);
        assert_ne!(first["digest"], second["digest"]);
        assert_eq!(second["previous"][0]["digest"], first["digest"]);
        looma.advance(std::time::Duration::from_secs(1));
        let back = admin.post("/plugins/threshold/rollback", &json!({})).await.expect(200);
        assert_eq!((&back["digest"], &back["previous"][0]["digest"]), (&first["digest"], &second["digest"]));
        assert_eq!(judge(admin).await["plugin"]["digest"], first["digest"]);
        let versions = admin.get("/plugins/threshold/versions").await.expect(200);
        let versions: Vec<_> = versions["items"].as_array().unwrap().iter().map(|v| (&v["digest"], &v["serving"])).collect();
        assert_eq!(versions, [(&first["digest"], &json!(true)), (&second["digest"], &json!(false))]);
    }

    /// A plugin that is switched off takes no calls until it is switched on.
    async fn disabled_plugin_takes_no_calls(looma: TestServer) {
        let admin = looma.admin().await;
        upload(admin, component("threshold")).await.expect(201);
        assert_eq!(admin.post("/plugins/threshold/disable", &json!({})).await.expect(200)["state"], "disabled");
        let check = json!({"config": {}});
        let refused = admin.post("/plugins/threshold/check", &check).await;
        assert!(refused.expect(503)["detail"].as_str().unwrap().contains("disabled"));
        assert_eq!(admin.post("/plugins/threshold/enable", &json!({})).await.expect(200)["state"], "active");
        let checked = admin.post("/plugins/threshold/check", &check).await.expect(200);
        assert_eq!((&checked["valid"], &checked["errors"][0]["pointer"]), (&json!(false), &json!("")));
    }

    /// What is no plugin is refused with the reason in words, and nothing changes.
    async fn bad_uploads_are_told_in_words(looma: TestServer) {
        let admin = looma.admin().await;
        upload(admin, component("threshold")).await.expect(201);
        let wants_http = evaluator_that_wants_http();
        let two_kinds = guest("two", "export looma:alerting/evaluator@0.1.0; export looma:notify/notifier@0.1.0;", "", TWO_KINDS);
        for (file, told) in [
            (Vec::new(), "the file is empty"),
            (b"garbage".to_vec(), "not WebAssembly"),
            (wat::parse_str("(module)").unwrap(), "this is a core module"),
            (wat::parse_str("(component)").unwrap(), "exports no plugin interface"),
            (component("threshold")[..5_000].to_vec(), "not a whole component"),
            (wants_http, "plugin wants looma:host/http, kind alert-evaluator has none"),
            (two_kinds, "several kinds (alert-evaluator, notifier)"),
            (evaluator("Loud_Name", "(i32.const 512)", "unreachable"), "is not a plugin name"),
            (evaluator("spins", "(i32.const 512)", "(loop $l (br $l)) unreachable"), ""),
        ] {
            if told.is_empty() {
                upload(admin, file).await.expect(201);
                continue;
            }
            let detail = upload(admin, file).await.expect(422)["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(told), "{detail}");
        }
        judge(admin).await;
        let typed = admin.post_bytes("/plugins", "text/plain", component("log")).await;
        typed.expect(415);
    }

    /// A plugin in use is not removed; one that is not is gone, with its history.
    async fn removing_waits_for_those_who_use_it(looma: TestServer) {
        let admin = looma.admin().await;
        upload(admin, component("threshold")).await.expect(201);
        let name = "threshold".parse().unwrap();
        looma.app().plugins.use_config("rule:7", &name, "{\"comparison_operator\":\">\",\"threshold_value\":1}");
        let refused = admin.delete("/plugins/threshold").await.expect(409);
        assert!(refused["detail"].as_str().unwrap().contains("rule:7"));
        looma.app().plugins.forget_config("rule:7");
        admin.delete("/plugins/threshold").await.expect(204);
        admin.get("/plugins/threshold").await.expect(404);
        admin.get("/plugins/threshold/versions").await.expect(404);
    }

    /// Viewers look, operators bring plugins in, and those who are not signed in do neither.
    async fn roles_are_kept_apart(looma: TestServer) {
        upload(looma.operator().await, component("log")).await.expect(201);
        looma.viewer().await.get("/plugins/log").await.expect(200);
        upload(looma.viewer().await, component("threshold")).await.expect(403);
        looma.anonymous().get("/plugins").await.expect(401);
        looma.operator().await.put("/plugins/log/grants", &json!({"mail": true})).await.expect(403);
    }
}

const TWO_KINDS: &str = r#"
    (func (export "looma:alerting/evaluator@0.1.0#plan") (param i32 i32) (result i32) unreachable)
    (func (export "looma:alerting/evaluator@0.1.0#evaluate") (param i32) (result i32) unreachable)
    (func (export "looma:notify/notifier@0.1.0#deliver")
        (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
    (func (export "looma:notify/notifier@0.1.0#preview")
        (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)"#;

fn evaluator_that_wants_http() -> Vec<u8> {
    guest(
        "wants",
        "import looma:host/http@0.1.0; export looma:alerting/evaluator@0.1.0;",
        r#"(import "looma:host/http@0.1.0" "sign" (func $sign (param i32 i32 i32 i32 i32)))"#,
        r#"(func (export "looma:alerting/evaluator@0.1.0#plan") (param i32 i32) (result i32)
               (call $sign (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)) unreachable)
           (func (export "looma:alerting/evaluator@0.1.0#evaluate") (param i32) (result i32) unreachable)"#,
    )
}

/// What serves, what was switched off and what was granted outlive the server; so does the way back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_outlives_a_restart() {
    let looma = TestServer::start(looma_tests::Store::sqlite()).await;
    let admin = looma.admin().await;
    let first = upload(admin, component("threshold")).await.expect(201);
    looma.advance(std::time::Duration::from_secs(1));
    let second = upload(admin, renewed(component("threshold"), "second")).await.expect(201);
    upload(admin, component("log")).await.expect(201);
    admin.post("/plugins/log/disable", &json!({})).await.expect(200);
    admin.put("/plugins/log/grants", &json!({"http": ["https://a.example"]})).await.expect(200);
    let looma = looma.restart().await;
    let admin = looma.admin().await;
    let plugin = admin.get("/plugins/threshold").await.expect(200);
    assert_eq!((&plugin["digest"], &plugin["previous"][0]["digest"]), (&second["digest"], &first["digest"]));
    assert_eq!(admin.get("/plugins/log").await.expect(200)["state"], "disabled");
    assert_eq!(admin.get("/plugins/log/grants").await.expect(200)["http"], json!(["https://a.example"]));
    let back = admin.post("/plugins/threshold/rollback", &json!({})).await.expect(200);
    assert_eq!(back["digest"], first["digest"]);
    looma.stop().await;
}

/// What one replica takes serves on the other; what is switched off, granted or rolled back there is so here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_follow_each_other() {
    let Some(store) = looma_tests::Store::postgres().await else { return };
    let one = TestServer::start(store.clone()).await;
    let other = TestServer::start(store).await;
    let first = upload(one.admin().await, component("threshold")).await.expect(201);
    let serves = async |digest: &Value| {
        other.run_task("feed.follow").await;
        let plugin = other.admin().await.get("/plugins/threshold").await;
        (plugin.json["digest"] == *digest).then_some(plugin.json)
    };
    looma_tests::eventually("plugin on the other replica", async || serves(&first["digest"]).await).await;
    assert_eq!(judge(other.admin().await).await["plugin"]["digest"], first["digest"]);
    one.advance(std::time::Duration::from_secs(1));
    let second = upload(one.admin().await, renewed(component("threshold"), "second")).await.expect(201);
    let plugin = looma_tests::eventually("second version", async || serves(&second["digest"]).await).await;
    assert_eq!(plugin["previous"][0]["digest"], first["digest"]);
    one.admin().await.post("/plugins/threshold/disable", &json!({})).await.expect(200);
    other.run_task("feed.follow").await;
    assert_eq!(other.admin().await.get("/plugins/threshold").await.expect(200)["state"], "disabled");
    one.admin().await.delete("/plugins/threshold").await.expect(204);
    other.run_task("feed.follow").await;
    other.admin().await.get("/plugins/threshold").await.expect(404);
    other.stop().await;
    one.stop().await;
}
