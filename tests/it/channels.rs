//! Channels, routes and silences.

use looma_tests::{Receiver, TestServer, both_databases};
use serde_json::{Value, json};

/// Makes a channel `name` that posts to the receiver, which the plugin is granted.
pub async fn webhook(looma: &TestServer, name: &str, to: &Receiver) -> Value {
    let admin = looma.admin().await;
    let grants = json!({"http": [to.url()], "net": [format!("127.0.0.1:{}", to.address.port())]});
    admin.put("/plugins/webhook/grants", &grants).await.expect(200);
    let channel = json!({"name": name, "notifier": "webhook", "config": {"url": format!("{}/hook", to.url())}});
    admin.post("/channels", &channel).await.expect(201)
}

both_databases! {
    /// A channel is read by id and by name, replaced, patched, and deleted once no route names it.
    async fn channels_are_kept(looma: TestServer) {
        looma.load_plugins(&["log"]).await;
        let admin = looma.admin().await;
        let made = admin.post("/channels", &json!({"name": "ops log", "notifier": "log"})).await.expect(201);
        assert_eq!((&made["enabled"], &made["config"]), (&json!(true), &json!({})));
        let path = format!("/channels/{}", made["id"].as_str().unwrap());
        assert_eq!(admin.get("/channels/ops%20log").await.expect(200), admin.get(&path).await.expect(200));
        admin.post("/channels", &json!({"name": "ops log", "notifier": "log"})).await.expect(409);
        assert_eq!(admin.patch(&path, &json!({"enabled": false})).await.expect(200)["enabled"], false);
        let route = admin.post("/routes", &json!({"name": "all", "channels": ["ops log"]})).await.expect(201);
        admin.delete(&path).await.expect(409);
        admin.put(&path, &json!({"name": "other", "notifier": "log"})).await.expect(409);
        admin.delete(&format!("/routes/{}", route["id"].as_str().unwrap())).await.expect(204);
        admin.delete(&path).await.expect(204);
        admin.get(&path).await.expect(404);
        assert_eq!(admin.get("/channels").await.expect(200), json!({"items": [], "next": null}));
    }

    /// What a notifier finds wrong with a configuration stands under `/config`.
    async fn faults_of_a_channel_are_told(looma: TestServer) {
        looma.load_plugins(&["webhook", "threshold"]).await;
        let admin = looma.admin().await;
        let refused = admin.post("/channels", &json!({"name": "x", "notifier": "webhook", "config": {"url": "ftp://x"}})).await;
        assert_eq!(refused.pointers(), ["/config/url"], "{}", refused.json);
        refused.expect(422);
        let refused = admin.post("/channels", &json!({"name": "x", "notifier": "threshold"})).await;
        assert_eq!(refused.pointers(), ["/notifier"], "{}", refused.json);
        let refused = admin.post("/routes", &json!({"name": "x", "channels": ["nowhere"], "match": {"severity": "bad"}})).await;
        assert_eq!(refused.pointers(), ["/match/severity", "/channels/0"], "{}", refused.json);
    }

    /// A test of a channel really delivers, and says what came of it.
    async fn a_test_of_a_channel_delivers(looma: TestServer) {
        looma.load_plugins(&["webhook"]).await;
        let (admin, receiver) = (looma.admin().await, Receiver::start().await);
        webhook(looma, "ops-hook", &receiver).await;
        let tested = admin.post("/channels/ops-hook/test", &json!({})).await.expect(200);
        assert_eq!((&tested["status"], &tested["plugin"]["name"]), (&json!("delivered"), &json!("webhook")), "{tested}");
        let came = receiver.next().await;
        assert_eq!(came.json["id"], tested["id"]);
        receiver.answer(503);
        let tested = admin.post("/channels/ops-hook/test", &json!({})).await.expect(200);
        assert_eq!(tested["status"], "failed", "{tested}");
        assert!(tested["last_error"].as_str().unwrap().contains("503"), "{tested}");
    }

    /// Routes are listed in the order in which they are tried.
    async fn routes_are_listed_in_order(looma: TestServer) {
        looma.load_plugins(&["log"]).await;
        let admin = looma.admin().await;
        admin.post("/channels", &json!({"name": "log", "notifier": "log"})).await.expect(201);
        for (name, position) in [("c", 1), ("a", 20), ("b", 20)] {
            admin.post("/routes", &json!({"name": name, "channels": ["log"], "position": position})).await.expect(201);
        }
        let names = |page: Value| page["items"].as_array().unwrap().iter().map(|route| route["name"].clone()).collect::<Vec<_>>();
        let first = admin.get("/routes?limit=2").await.expect(200);
        let rest = admin.get(&format!("/routes?after={}", first["next"].as_str().unwrap())).await.expect(200);
        assert_eq!((names(first), names(rest)), (vec![json!("c"), json!("a")], vec![json!("b")]));
        assert_eq!(admin.patch("/routes/a", &json!({"continue": true})).await.expect(200)["continue"], true);
    }

    /// A silence names something, and ends after it begins.
    async fn silences_are_checked(looma: TestServer) {
        let admin = looma.admin().await;
        let backwards = json!({"match": {}, "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"});
        assert_eq!(admin.post("/silences", &backwards).await.pointers(), ["/match", "/ends_at"]);
        let good = json!({"match": {"service_id": "ai-1"}, "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-01-02T00:00:00Z", "comment": "rack move"});
        let made = admin.post("/silences", &good).await.expect(201);
        assert_eq!((&made["created_by"], &made["match"]), (&json!("admin"), &json!({"service_id": "ai-1"})));
        let path = format!("/silences/{}", made["id"].as_str().unwrap());
        admin.patch(&path, &json!({"comment": "done"})).await.expect(200);
        admin.delete(&path).await.expect(204);
    }
}
