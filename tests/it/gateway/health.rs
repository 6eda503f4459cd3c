//! Health as clients of Nacos and Consul make it and see it: one rule for what they say, for heartbeats and for checks.

use looma_tests::{Receiver, SilentPeer, TestServer, both_databases};
use serde_json::{Value, json};

use super::{native, offered, read};

async fn consul(looma: &TestServer, path: &str) {
    looma.admin().await.put(&format!("/consul/v1{path}"), &json!({})).await.expect(200);
}

async fn register(looma: &TestServer, url: &str, check: Value) {
    let (host, port) = url.trim_start_matches("http://").split_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    let body = json!({"ID": "web-1", "Name": "web", "Address": host, "Port": port, "Check": check});
    looma.admin().await.put("/consul/v1/agent/service/register", &body).await.expect(200);
}

async fn beat(looma: &TestServer, id: &str) {
    looma.admin().await.post(&format!("/services/{id}/heartbeat"), &json!({})).await.expect(204);
}

/// The health of `web-1`, as it is seen by every way: the registry's own, Consul's and Nacos'.
async fn seen(looma: &TestServer) -> (String, String) {
    let admin = looma.admin().await;
    let own = read(looma, "web-1").await;
    let health = own["health_status"].as_str().unwrap().to_owned();
    let check = admin.get("/consul/v1/health/checks/web").await.expect(200)[0].clone();
    let status = match health.as_str() {
        "healthy" => "passing",
        "warning" => "warning",
        _ => "critical",
    };
    assert_eq!(check["Status"], status, "{own}");
    assert_eq!(check["Output"], own["health_reason"].as_str().unwrap_or_default());
    let hosts = admin.get("/nacos/v1/ns/instance/list?serviceName=web").await.expect(200)["hosts"].clone();
    let lives = ["healthy", "warning"].contains(&health.as_str());
    assert_eq!(hosts[0]["healthy"], lives, "{own}");
    assert_eq!(offered(looma, "web").await.len(), usize::from(lives));
    (health, own["health_reason"].as_str().unwrap_or_default().to_owned())
}

/// Lets time pass until it is seen to be of this health.
async fn until(looma: &TestServer, health: &str) -> String {
    for _ in 0..200 {
        let (seen, reason) = seen(looma).await;
        if seen == health {
            return reason;
        }
        looma.live_checked(1).await;
    }
    panic!("it is not {health} after 200 s: {}", read(looma, "web-1").await);
}

/// Nacos' code for a beat of an instance.
async fn nacos_beat(looma: &TestServer, at: &str) -> Value {
    let admin = looma.admin().await;
    let request = admin.request(reqwest::Method::PUT, &format!("/nacos/v1/ns/instance/beat?{at}"));
    admin.send(request).await.expect(200)["code"].clone()
}

async fn nacos_register(looma: &TestServer, fields: &str) {
    let admin = looma.admin().await;
    let request = admin.request(reqwest::Method::POST, &format!("/nacos/v1/ns/instance?serviceName=web&{fields}"));
    assert_eq!(admin.send(request).await.bytes, b"ok");
}

both_databases! {
    /// A check by HTTP that Consul's client registers is made by the server: the service is healthy when its endpoint
    /// answers, and critical when that dies.
    async fn a_check_of_consul_is_made(looma: TestServer) {
        let peer = Receiver::start().await;
        register(looma, &peer.url(), json!({"HTTP": format!("{}/health", peer.url()), "Interval": "2s", "Timeout": "1s"})).await;
        assert_eq!(seen(looma).await, ("unknown".to_owned(), String::new()));
        assert_eq!(until(looma, "healthy").await, "");
        assert!(peer.next().await.head.starts_with("GET /health HTTP/1.1"));
        peer.answer(500);
        assert_eq!(until(looma, "critical").await, "its http check failed: GET /health was answered 500", "one failure is enough");
        peer.answer(200);
        until(looma, "healthy").await;
        drop(peer);
        let reason = until(looma, "critical").await;
        assert!(reason.starts_with("its http check failed: "), "{reason}");
    }

    /// The state that a registration gives to a check stands until the check has said something; one of a check with a
    /// time-to-live stands until it is told otherwise.
    async fn a_first_state_ends_with_the_first_verdict(looma: TestServer) {
        let peer = Receiver::start().await;
        let check = |status: &str| json!({"HTTP": peer.url(), "Interval": "2s", "Timeout": "1s", "Status": status});
        register(looma, &peer.url(), check("critical")).await;
        assert_eq!(seen(looma).await, ("critical".to_owned(), "it was registered as critical".to_owned()));
        until(looma, "healthy").await;
        // What the check has said is not undone by registering again.
        register(looma, &peer.url(), check("critical")).await;
        assert_eq!(seen(looma).await.0, "healthy");
        consul(looma, "/agent/service/deregister/web-1").await;
        peer.answer(503);
        register(looma, &peer.url(), check("passing")).await;
        assert_eq!(seen(looma).await.0, "healthy");
        until(looma, "critical").await;
        consul(looma, "/agent/service/deregister/web-1").await;
        register(looma, "10.0.0.7:80", json!({"TTL": "10s", "Status": "warning"})).await;
        beat(looma, "web-1").await;
        assert_eq!(seen(looma).await, ("warning".to_owned(), "it says so itself".to_owned()));
        consul(looma, "/agent/check/pass/service:web-1").await;
        assert_eq!(seen(looma).await.0, "healthy");
    }

    /// A report of failure counts at once and is a sign of life; a heartbeat, which passes by every way, does not undo it. It
    /// ends with the next report, by hand, or with the lease.
    async fn a_heartbeat_does_not_undo_a_report(looma: TestServer) {
        register(looma, "10.0.0.7:80", json!({"TTL": "10s"})).await;
        consul(looma, "/agent/check/fail/service:web-1?note=no+database").await;
        let failed = ("critical".to_owned(), "no database".to_owned());
        for _ in 0..4 {
            beat(looma, "web-1").await;
            assert_eq!(nacos_beat(looma, "serviceName=web&ip=10.0.0.7&port=80").await, 10_200);
            looma.live(4).await;
            assert_eq!(seen(looma).await, failed);
        }
        let own = read(looma, "web-1").await;
        assert_eq!((&own["status"], &own["signals"]["lease"]["health"], &own["signals"]["report"]["health"]), (&json!("failed"), &json!("healthy"), &json!("critical")));
        consul(looma, "/agent/check/pass/service:web-1").await;
        assert_eq!(seen(looma).await, ("healthy".to_owned(), String::new()));
        consul(looma, "/agent/check/fail/service:web-1").await;
        assert_eq!(seen(looma).await, ("critical".to_owned(), "it says so itself".to_owned()));
        looma.admin().await.patch("/services/web-1", &json!({"health_status": "healthy", "health_reason": null, "status": "active"})).await.expect(200);
        assert_eq!(seen(looma).await.0, "healthy");
        consul(looma, "/agent/check/warn/service:web-1?note=slow").await;
        looma.live(11).await;
        assert_eq!(seen(looma).await, ("critical".to_owned(), "no heartbeat came within 10 s".to_owned()));
        beat(looma, "web-1").await;
        assert_eq!(seen(looma).await.0, "healthy", "what it said before its silence is forgotten");
    }

    /// The worst of check, lease and report is shown.
    async fn checks_and_reports_make_one_health(looma: TestServer) {
        let peer = Receiver::start().await;
        native(looma, "web-1", "web", json!({"service_url": peer.url(), "ttl_seconds": 600,
            "check": {"kind": "http", "interval_seconds": 2, "timeout_seconds": 1, "critical_after": 1}})).await;
        looma.live_checked(3).await;
        assert_eq!(seen(looma).await.0, "healthy");
        consul(looma, "/agent/check/warn/service:web-1?note=slow").await;
        looma.live_checked(5).await;
        assert_eq!(seen(looma).await, ("warning".to_owned(), "slow".to_owned()), "a check that passes does not undo it");
        consul(looma, "/agent/check/pass/service:web-1").await;
        assert_eq!(seen(looma).await.0, "healthy");
        peer.answer(500);
        until(looma, "critical").await;
        consul(looma, "/agent/check/pass/service:web-1").await;
        assert_eq!(seen(looma).await, ("critical".to_owned(), "its http check failed: GET / was answered 500".to_owned()));
        let own = read(looma, "web-1").await;
        let signals = ["lease", "check", "report"].map(|side| own["signals"][side]["health"].as_str().unwrap().to_owned());
        assert_eq!(signals, ["healthy", "critical", "healthy"]);
    }

    /// Reports are no flapping: each is shown at once, however many there are.
    async fn reports_are_not_damped(looma: TestServer) {
        register(looma, "10.0.0.7:80", json!({"TTL": "10s"})).await;
        for _ in 0..6 {
            for (call, health) in [("fail", "critical"), ("pass", "healthy"), ("warn", "warning")] {
                consul(looma, &format!("/agent/check/{call}/service:web-1")).await;
                assert_eq!(seen(looma).await.0, health);
            }
        }
        assert_eq!(read(looma, "web-1").await["signals"]["held"], Value::Null);
    }

    /// A service that stays critical for as long as Consul's client said is removed, but not sooner than after a minute.
    async fn what_consul_wants_removed_is_removed(looma: TestServer) {
        register(looma, "10.0.0.7:80", json!({"TTL": "10s", "Status": "passing", "DeregisterCriticalServiceAfter": "5s"})).await;
        assert_eq!(read(looma, "web-1").await["deregister_after_seconds"], 60);
        looma.live(69).await;
        looma.run_task("registry.remove").await;
        assert_eq!(seen(looma).await.0, "critical");
        looma.live(1).await;
        looma.run_task("registry.remove").await;
        looma.admin().await.get("/services/web-1").await.expect(404);
        assert_eq!(looma.admin().await.get("/consul/v1/catalog/services").await.expect(200), json!({}));
        register(looma, "10.0.0.7:80", json!({"TTL": "10s", "Deregister_Critical_Service_After": "90m"})).await;
        assert_eq!(read(looma, "web-1").await["deregister_after_seconds"], 5400);
    }

    /// Nacos counts the time to a removal from the last beat, the registry from when it was missed.
    async fn what_nacos_wants_removed_is_removed(looma: TestServer) {
        let at = "serviceName=web&ip=10.0.0.7&port=80";
        nacos_register(looma, "ip=10.0.0.7&port=80&metadata=preserved.ip.delete.timeout%3D30000").await;
        let id = "10.0.0.7#80#DEFAULT#DEFAULT_GROUP@@web";
        assert_eq!(read(looma, id).await["deregister_after_seconds"], 15);
        for _ in 0..8 {
            looma.live(10).await;
            assert_eq!(nacos_beat(looma, at).await, 10_200);
        }
        looma.live(29).await;
        looma.run_task("registry.remove").await;
        assert_eq!(read(looma, id).await["health_status"], "critical");
        looma.live(1).await;
        looma.run_task("registry.remove").await;
        assert_eq!(nacos_beat(looma, at).await, 20_404, "it is to be registered");
        nacos_register(looma, "ip=10.0.0.7&port=80&ephemeral=false&metadata=preserved.ip.delete.timeout%3D30000").await;
        assert_eq!(read(looma, id).await["deregister_after_seconds"], Value::Null, "nobody beats for it");
    }

    /// A persistent instance of Nacos is as it was registered until the server has asked whether something listens there.
    async fn a_persistent_instance_is_asked(looma: TestServer) {
        let peer = SilentPeer::start().await;
        let port = peer.address.port();
        nacos_register(looma, &format!("ip=127.0.0.1&port={port}&ephemeral=false&healthy=false")).await;
        let id = format!("127.0.0.1#{port}#DEFAULT#DEFAULT_GROUP@@web");
        let health = async || read(looma, &id).await["health_status"].as_str().unwrap().to_owned();
        assert_eq!(health().await, "critical");
        // The first is within an interval, each next one an interval and up to a twentieth later.
        looma.live_checked(22).await;
        assert_eq!(health().await, "healthy");
        peer.close().await;
        looma.live_checked(22).await;
        assert_eq!(health().await, "warning");
        looma.live_checked(44).await;
        assert_eq!(health().await, "critical");
    }

    /// An ephemeral instance that is registered as unhealthy is so until it beats.
    async fn a_beat_ends_what_an_instance_was_registered_as(looma: TestServer) {
        nacos_register(looma, "ip=10.0.0.7&port=80&healthy=false").await;
        let id = "10.0.0.7#80#DEFAULT#DEFAULT_GROUP@@web";
        assert_eq!(read(looma, id).await["health_status"], "critical");
        nacos_beat(looma, "serviceName=web&ip=10.0.0.7&port=80").await;
        assert_eq!((read(looma, id).await["health_status"].as_str(), offered(looma, "web").await.len()), (Some("healthy"), 1));
    }
}
