//! What plugins may do: nothing, until it is granted.

use looma_tests::{Receiver, TestServer, both_databases, plugins::guest};
use serde_json::{Value, json};

fn notification() -> Value {
    json!({"id": "n1", "status": "firing", "title": "cpu high", "alerts": [{"rule": "cpu high", "status": "firing",
        "severity": "critical", "service_id": "ai-1", "value": 97.0, "started_at": "2026-01-01T00:00:00Z"}]})
}

async fn deliver(looma: &TestServer, url: &str) -> Result<String, looma::plugins::CallError> {
    let notification = looma::plugins::Notification {
        id: "n1".to_owned(),
        attempt: 1,
        status: looma::plugins::Status::Firing,
        title: "cpu high".to_owned(),
        group: Vec::new(),
        alerts: Vec::new(),
    };
    let name = "webhook".parse().unwrap();
    let config = json!({"url": url}).to_string();
    let done = looma.app().plugins.deliver(&name, &config, notification.into()).await;
    done.map(|delivered| delivered.receipt.detail)
}

both_databases! {
    /// A webhook goes out once its host is granted, and not before; a grant that is taken back counts at once.
    async fn http_goes_where_it_is_granted(looma: TestServer) {
        let receiver = Receiver::start().await;
        let url = format!("{}/hook", receiver.url());
        looma.load_plugins(&["webhook"]).await;
        let denied = deliver(looma, &url).await.unwrap_err().to_string();
        assert!(denied.contains("is not granted POST"), "{denied}");
        let admin = looma.admin().await;
        admin.put("/plugins/webhook/grants", &json!({"http": [receiver.url()]})).await.expect(200);
        assert_eq!(deliver(looma, &url).await.unwrap(), "HTTP 200");
        let received = receiver.next().await;
        assert!(received.head.starts_with("POST /hook "), "{}", received.head);
        assert_eq!((&received.json["id"], &received.json["alerts"]), (&json!("n1"), &json!([])));
        admin.put("/plugins/webhook/grants", &json!({})).await.expect(200);
        deliver(looma, &url).await.unwrap_err();
        assert!(receiver.taken().await.is_none());
    }

    /// Trying a notifier shows what it would send, and nothing is sent.
    async fn preview_sends_nothing(looma: TestServer) {
        let receiver = Receiver::start().await;
        looma.load_plugins(&["webhook"]).await;
        let admin = looma.admin().await;
        admin.put("/plugins/webhook/grants", &json!({"http": [receiver.url()]})).await.expect(200);
        let trial = json!({"config": {"url": receiver.url()}, "input": notification()});
        let preview = admin.post("/plugins/webhook/run", &trial).await.expect(200)["preview"].as_str().unwrap().to_owned();
        assert!(preview.contains("\"started_at\": \"2026-01-01T00:00:00.000Z\""), "{preview}");
        assert!(receiver.taken().await.is_none());
    }

    /// Every fault of grants is told, with its place, and the change is in the audit.
    async fn grants_are_checked_and_audited(looma: TestServer) {
        let admin = looma.admin().await;
        let wrong = json!({"http": ["https://a.example/path", "ftp://b.example"], "net": ["10.0.0.0/8"], "deadline_ms": 1});
        let answer = admin.put("/plugins/webhook/grants", &wrong).await;
        assert_eq!(answer.pointers(), ["/http/0", "/http/1", "/net/0", "/deadline_ms"]);
        answer.expect(422);
        admin.put("/plugins/webhook/grants", &json!({"https": []})).await.expect(422);
        let good = json!({"http": ["https://hooks.example.com"], "net": ["10.0.0.0/8:8000-8100"], "secrets": ["hook-token"],
            "mail": false, "kv_bytes": 0, "memory_bytes": 67_108_864, "deadline_ms": 5000});
        assert_eq!(admin.put("/plugins/webhook/grants", &good).await.expect(200), good);
        assert_eq!(admin.get("/plugins/webhook/grants").await.expect(200), good);
        let audit = admin.get("/audit-logs?resource_type=plugin-grants").await.expect(200);
        assert_eq!(audit["items"][0]["resource_id"], "webhook");
    }

    /// A port scan finds what listens in granted ranges alone.
    async fn connections_stay_in_granted_ranges(looma: TestServer) {
        let receiver = Receiver::start().await;
        looma.load_plugins(&["port-scan"]).await;
        let admin = looma.admin().await;
        let port = receiver.address.port();
        let trial = json!({"config": {"hosts": ["127.0.0.1"], "ports": port.to_string()}});
        let denied = admin.post("/plugins/port-scan/run", &trial).await.expect(422);
        assert!(denied["detail"].as_str().unwrap().contains("no address range is granted"), "{denied}");
        admin.put("/plugins/port-scan/grants", &json!({"net": ["10.0.0.0/8:*"]})).await.expect(200);
        let denied = admin.post("/plugins/port-scan/run", &trial).await.expect(422);
        assert!(denied["detail"].as_str().unwrap().contains("in no granted range"), "{denied}");
        admin.put("/plugins/port-scan/grants", &json!({"net": ["127.0.0.0/8:*"]})).await.expect(200);
        let found = admin.post("/plugins/port-scan/run", &trial).await.expect(200);
        assert_eq!(found["targets"][0]["service_id"], format!("scan-127.0.0.1-{port}"));
    }

    /// A plugin keeps keys within its quota, apart from others', and they outlive the call.
    async fn keys_are_kept_within_the_quota(looma: TestServer) {
        let admin = looma.admin().await;
        admin.post_bytes("/plugins", "application/wasm", counter("counter")).await.expect(201);
        admin.post_bytes("/plugins", "application/wasm", counter("other")).await.expect(201);
        let run = async |name: &str| {
            let page = admin.post(&format!("/plugins/{name}/run"), &json!({"config": {}})).await.expect(200);
            page["next"].as_str().map(str::to_owned)
        };
        assert_eq!(run("counter").await, None, "nothing is granted, so nothing is kept");
        admin.put("/plugins/counter/grants", &json!({"kv_bytes": 1000})).await.expect(200);
        admin.put("/plugins/other/grants", &json!({"kv_bytes": 3})).await.expect(200);
        assert_eq!(run("counter").await, None);
        assert_eq!(run("counter").await.as_deref(), Some("x"));
        assert_eq!(run("other").await, None);
        assert_eq!(run("other").await, None, "a key of four bytes and its value are more than three");
    }

    /// A name that leads inside is refused although it is granted: an address, or a range, has to be.
    async fn names_that_lead_inside_are_refused(looma: TestServer) {
        looma.load_plugins(&["http-json"]).await;
        let admin = looma.admin().await;
        let trial = json!({"config": {"url": "http://localhost:9/"}});
        admin.put("/plugins/http-json/grants", &json!({"http": ["http://localhost:9"]})).await.expect(200);
        let denied = admin.post("/plugins/http-json/run", &trial).await.expect(422);
        assert!(denied["detail"].as_str().unwrap().contains("a loopback address"), "{denied}");
    }
}

/// A discovery strategy that gives as its next cursor what stands under the key `seen`, and then puts `x` there.
fn counter(name: &str) -> Vec<u8> {
    guest(
        name,
        "import looma:host/kv@0.1.0; export looma:discovery/strategy@0.1.0;",
        r#"(import "looma:host/kv@0.1.0" "get" (func $get (param i32 i32 i32)))
           (import "looma:host/kv@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))"#,
        r#"(data (i32.const 600) "seenx")
           (func (export "looma:discovery/strategy@0.1.0#discover") (param i32 i32 i32 i32 i32) (result i32)
               ;; result<option<list<u8>>, kv-error> at 2048: tag at 0, option at 8, list at 12
               (call $get (i32.const 600) (i32.const 4) (i32.const 2048))
               (call $set (i32.const 600) (i32.const 4) (i32.const 604) (i32.const 1) (i32.const 0) (i64.const 0) (i32.const 2200))
               ;; result<page, plugin-error> at 4096: tag, then targets, then next
               (i32.store8 (i32.const 4096) (i32.const 0))
               (i32.store (i32.const 4100) (i32.const 0))
               (i32.store (i32.const 4104) (i32.const 0))
               (i32.store8 (i32.const 4108) (i32.const 0))
               (if (i32.and (i32.eqz (i32.load8_u (i32.const 2048))) (i32.load8_u (i32.const 2056)))
                   (then
                       (i32.store8 (i32.const 4108) (i32.const 1))
                       (i32.store (i32.const 4112) (i32.load (i32.const 2060)))
                       (i32.store (i32.const 4116) (i32.load (i32.const 2064)))))
               (i32.const 4096))"#,
    )
}
