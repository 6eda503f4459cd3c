//! Checks: who is asked, how many answers count, and what they make of health together with heartbeats.

use std::time::Duration;

use looma::settings::Settings;
use looma_tests::{
    GrpcHealth, Receiver, SilentPeer, Store, TestServer, both_databases, closed_port, eventually, postgres_available,
};
use serde_json::{Value, json};

use super::{beat, count, head, read, register, register_many, service, state, with};

/// A service at `url` that is checked each 10 s.
fn checked(id: &str, url: &str, check: Value) -> Value {
    let check = with(json!({"interval_seconds": 10, "timeout_seconds": 2}), check);
    with(service(id, "x"), json!({"service_url": url, "check": check}))
}

/// Lets a second pass, with the checks and the sweep that fall in it.
async fn second(looma: &TestServer) {
    looma.live_checked(1).await;
}

async fn seconds(looma: &TestServer, count: u64) {
    looma.live_checked(count).await;
}

/// How many checks were done.
fn done(looma: &TestServer) -> u64 {
    let checks = looma.app().registry.counts().checks;
    checks.passed + checks.failed
}

/// Lets time pass until one more check was done, of the one service that is checked, and until the sweep after it.
async fn next(looma: &TestServer) {
    let before = done(looma);
    while done(looma) == before {
        second(looma).await;
    }
    second(looma).await;
    assert_eq!(done(looma), before + 1);
}

async fn health(looma: &TestServer, id: &str) -> String {
    read(looma, id).await["health_status"].as_str().unwrap().to_owned()
}

async fn reason(looma: &TestServer, id: &str) -> String {
    read(looma, id).await["health_reason"].as_str().unwrap_or_default().to_owned()
}

both_databases! {
    /// A service without heartbeats lives by its check: healthy when it passes, in warning when it fails, critical when it
    /// has failed as often as it may, and healthy again only when it has passed as often as it must.
    async fn answers_over_http_count_in_a_row(looma: TestServer) {
        let peer = Receiver::start().await;
        let check = json!({"kind": "http", "path": "/health?deep=1", "healthy_after": 2, "critical_after": 3});
        register(looma, &checked("a", &peer.url(), check)).await;
        next(looma).await;
        assert_eq!(state(&read(looma, "a").await), ("registered", "unknown"), "it must pass twice");
        assert!(peer.next().await.head.starts_with("GET /health?deep=1 HTTP/1.1\r\n"));
        next(looma).await;
        let healthy = read(looma, "a").await;
        assert_eq!((state(&healthy), &healthy["health_reason"]), (("active", "healthy"), &Value::Null));
        peer.answer(503);
        next(looma).await;
        assert_eq!(health(looma, "a").await, "warning");
        assert_eq!(reason(looma, "a").await, "its http check failed: GET /health was answered 503");
        let before = head(looma).await;
        next(looma).await;
        assert_eq!((head(looma).await, health(looma, "a").await), (before, "warning".to_owned()), "nothing changed");
        next(looma).await;
        assert_eq!(state(&read(looma, "a").await), ("failed", "critical"));
        assert_eq!(reason(looma, "a").await, "its http check failed, 3 times in a row: GET /health was answered 503");
        let found = looma.admin().await.get("/discovery/x?healthy=true").await.expect(200);
        assert_eq!(found["items"], json!([]));
        peer.answer(204);
        next(looma).await;
        assert_eq!(health(looma, "a").await, "critical", "it must pass twice");
        next(looma).await;
        assert_eq!(state(&read(looma, "a").await), ("active", "healthy"));
    }

    /// A redirect is not followed and does not pass; where one status is expected, no other passes.
    async fn only_what_is_expected_passes(looma: TestServer) {
        let peer = Receiver::start().await;
        peer.answer(302);
        register(looma, &checked("a", &peer.url(), json!({"kind": "http", "critical_after": 1}))).await;
        next(looma).await;
        assert_eq!(reason(looma, "a").await, "its http check failed: GET / was answered 302");
        let expects = json!({"kind": "http", "path": "/x", "expected_status": 302, "critical_after": 1});
        looma.admin().await.post("/services", &checked("a", &peer.url(), expects)).await.expect(200);
        next(looma).await;
        assert_eq!(state(&read(looma, "a").await), ("active", "healthy"));
        peer.answer(200);
        next(looma).await;
        assert_eq!(reason(looma, "a").await, "its http check failed: GET /x was answered 200");
    }

    /// A port that takes connections passes, one that does not fails; what says nothing in time fails.
    async fn connections_count(looma: TestServer) {
        let peer = SilentPeer::start().await;
        let url = format!("tcp://{}", peer.address);
        register(looma, &checked("a", &url, json!({"kind": "tcp", "critical_after": 1}))).await;
        next(looma).await;
        assert_eq!(state(&read(looma, "a").await), ("active", "healthy"));
        let moved = checked("a", &format!("tcp://{}", closed_port().await), json!({"kind": "tcp", "critical_after": 1}));
        looma.admin().await.post("/services", &moved).await.expect(200);
        assert_eq!(health(looma, "a").await, "healthy", "the check of the new address has said nothing yet");
        next(looma).await;
        assert!(reason(looma, "a").await.starts_with("its tcp check failed: could not connect: "), "{}", reason(looma, "a").await);
        looma.admin().await.delete("/services/a").await.expect(204);
        let check = json!({"kind": "http", "critical_after": 1, "timeout_seconds": 1});
        register(looma, &checked("b", &format!("http://{}", peer.address), check)).await;
        next(looma).await;
        assert_eq!(reason(looma, "b").await, "its http check failed: there was no answer within 1 s");
    }

    /// The gRPC health protocol: SERVING passes, everything else does not.
    async fn grpc_health_counts(looma: TestServer) {
        let peer = GrpcHealth::start().await;
        let url = format!("grpc://{}", peer.address);
        register(looma, &checked("a", &url, json!({"kind": "grpc", "critical_after": 1}))).await;
        next(looma).await;
        assert_eq!((health(looma, "a").await, peer.asked()), ("healthy".to_owned(), vec!["/grpc.health.v1.Health/Check".to_owned()]));
        for (status, said) in [(2, "NOT_SERVING"), (0, "UNKNOWN")] {
            peer.answer(status);
            next(looma).await;
            assert_eq!(reason(looma, "a").await, format!("its grpc check failed: it answered {said}"));
            peer.answer(1);
            next(looma).await;
            assert_eq!(health(looma, "a").await, "healthy");
        }
        for (name, expected) in [("known", "healthy"), ("other", "critical")] {
            let check = json!({"kind": "grpc", "grpc_service": name, "critical_after": 1});
            looma.admin().await.post("/services", &checked("a", &url, check)).await.expect(200);
            next(looma).await;
            assert_eq!(health(looma, "a").await, expected, "{name}");
            assert_eq!(peer.asked().pop(), Some(format!("/grpc.health.v1.Health/Check {name}")));
        }
        assert_eq!(reason(looma, "a").await, "its grpc check failed: it does not know the service \"other\"");
        let web = Receiver::start().await;
        register(looma, &checked("b", &web.url(), json!({"kind": "grpc", "critical_after": 1}))).await;
        looma.admin().await.delete("/services/a").await.expect(204);
        next(looma).await;
        assert!(reason(looma, "b").await.starts_with("its grpc check failed: it does not speak gRPC"), "{}", reason(looma, "b").await);
    }

    /// With heartbeats the worse of the two counts: a check that passes does not bring back what is silent, and a
    /// heartbeat does not bring back what fails.
    async fn lease_and_check_must_both_be_well(looma: TestServer) {
        let peer = Receiver::start().await;
        let check = json!({"kind": "http", "interval_seconds": 2, "timeout_seconds": 1, "critical_after": 1});
        register(looma, &checked("a", &peer.url(), check)).await;
        beat(looma, "a").await;
        assert_eq!(state(&read(looma, "a").await), ("active", "healthy"), "until the check has a verdict the lease counts");
        peer.answer(500);
        next(looma).await;
        beat(looma, "a").await;
        assert_eq!(state(&read(looma, "a").await), ("failed", "critical"), "a heartbeat is not enough");
        let before = head(looma).await;
        beat(looma, "a").await;
        assert_eq!(head(looma).await, before, "and changes nothing");
        peer.answer(200);
        next(looma).await;
        assert_eq!(state(&read(looma, "a").await), ("active", "healthy"));
        seconds(looma, 17).await;
        let silent = read(looma, "a").await;
        assert_eq!((state(&silent), &silent["health_reason"]), (("failed", "critical"), &json!("no heartbeat came within 15 s")));
        assert_eq!(silent["signals"]["check"], json!({"health": "healthy", "reason": null}));
        seconds(looma, 6).await;
        assert_eq!(health(looma, "a").await, "critical", "a check that passes is not enough");
        beat(looma, "a").await;
        assert_eq!(state(&read(looma, "a").await), ("active", "healthy"));
    }

    /// A service that never sent a heartbeat has no lease that could end, also after a renewal and a restart; the check
    /// that is taken from it leaves nothing behind.
    async fn without_heartbeats_there_is_no_lease(looma: TestServer) {
        let peer = Receiver::start().await;
        let own = checked("a", &peer.url(), json!({"kind": "http"}));
        register(looma, &own).await;
        seconds(looma, 12).await;
        looma.admin().await.post("/services", &own).await.expect(200);
        looma.admin().await.post("/services", &with(own, json!({"weight": 7}))).await.expect(200);
        seconds(looma, 20).await;
        let lives = read(looma, "a").await;
        assert_eq!((state(&lives), &lives["last_heartbeat"]), (("active", "healthy"), &Value::Null));
        peer.answer(500);
        seconds(looma, 11).await;
        assert_eq!(health(looma, "a").await, "warning");
        looma.admin().await.post("/services", &service("a", "x")).await.expect(200);
        let plain = read(looma, "a").await;
        assert_eq!((state(&plain), &plain["signals"]["check"]["health"]), (("active", "healthy"), &json!("unknown")));
        let before = done(looma);
        seconds(looma, 11).await;
        assert_eq!(done(looma), before, "nobody is checked any more");
    }

    /// Addresses where providers show what a machine is are not asked.
    async fn metadata_is_not_asked(looma: TestServer) {
        for (id, url, check) in [
            ("a", "http://169.254.169.254/latest", json!({"kind": "http", "path": "/latest/meta-data", "critical_after": 1})),
            ("b", "tcp://[::ffff:169.254.169.254]:80", json!({"kind": "tcp", "critical_after": 1})),
            ("c", "http://0xa9fea9fe/", json!({"kind": "http", "critical_after": 1})),
        ] {
            register(looma, &checked(id, url, check)).await;
            next(looma).await;
            assert!(reason(looma, id).await.contains("which checks may not ask"), "{url}: {}", reason(looma, id).await);
            looma.admin().await.delete(&format!("/services/{id}")).await.expect(204);
        }
    }

    /// What a check may be is said where it is wrong.
    async fn wrong_checks_are_refused(looma: TestServer) {
        for (check, pointer) in [
            (json!({"kind": "tcp", "expected_status": 200}), "/check/expected_status"),
            (json!({"kind": "http", "expected_status": 99}), "/check/expected_status"),
            (json!({"kind": "http", "grpc_service": "x"}), "/check/grpc_service"),
            (json!({"kind": "http", "path": "/a b"}), "/check/path"),
            (json!({"kind": "tcp", "healthy_after": 0}), "/check/healthy_after"),
            (json!({"kind": "tcp", "critical_after": 101}), "/check/critical_after"),
            (json!({"kind": "tcp", "colour": "red"}), "/check/colour"),
        ] {
            let answer = looma.admin().await.post("/services", &checked("a", "http://h:1", check.clone())).await;
            assert_eq!(answer.pointers().first(), Some(&pointer), "{check} {}", answer.json);
            answer.expect(422);
        }
        let stored = register(looma, &checked("a", "http://h:1", json!({"kind": "tcp"}))).await;
        assert_eq!(stored["check"], json!({"kind": "tcp", "interval_seconds": 10, "timeout_seconds": 2}), "as it was sent");
    }

    /// Many whose checks fail at once are marked a share at a time, as those that fall silent are.
    async fn failing_checks_are_held_back_too(looma: TestServer) {
        let peer = SilentPeer::start().await;
        let url = format!("tcp://{}", peer.address);
        let check = json!({"kind": "tcp", "interval_seconds": 2, "timeout_seconds": 1, "critical_after": 1});
        register_many(looma, "x", 100, &json!({"service_url": url, "check": check})).await;
        // On PostgreSQL they are spread anew when the turn is taken.
        seconds(looma, 4).await;
        assert_eq!(count(looma, "health_status=healthy").await, 100);
        peer.close().await;
        looma.advance(Duration::from_secs(3));
        looma.checks_end().await;
        let before = count(looma, "health_status=critical").await;
        assert!(before <= 15, "{before}");
        second(looma).await;
        let after = count(looma, "health_status=critical").await;
        assert!(after > before && after - before <= 15, "{before} and {after}");
        let shown = looma.admin().await.get("/discovery/x").await.expect(200);
        assert_eq!(shown["protection"]["active"], true, "{shown}");
        seconds(looma, 40).await;
        assert_eq!(count(looma, "health_status=critical").await, 100);
    }

    /// The tasks are there to be seen, and so are the numbers.
    async fn checks_are_shown(looma: TestServer) {
        let peer = Receiver::start().await;
        register(looma, &checked("a", &peer.url(), json!({"kind": "http"}))).await;
        next(looma).await;
        let tasks = looma.admin().await.get("/tasks").await.expect(200);
        let names: Vec<_> = tasks["items"].as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap()).collect();
        assert!(["registry.checks", "registry.check-turn", "registry.remove"].iter().all(|name| names.contains(name)), "{names:?}");
        let text = String::from_utf8(looma.admin().await.get("/metrics-text").await.bytes).unwrap();
        for line in ["looma_checks_total{result=\"passed\"} 1", "looma_checks_total{result=\"failed\"} 0", "looma_checks_under_way 0"] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}

/// No more checks are under way than may be, and none of them overlaps itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_are_under_way_than_may_be() {
    let store = Store::sqlite();
    let mut settings: Settings = store.settings();
    settings.registry.checks_under_way = 3;
    let looma = TestServer::start_with(store, settings).await;
    let peer = SilentPeer::start().await;
    let check = json!({"kind": "http", "interval_seconds": 1, "timeout_seconds": 1});
    register_many(&looma, "x", 10, &json!({"service_url": format!("http://{}", peer.address), "check": check})).await;
    looma.advance(Duration::from_secs(2));
    eventually("full house", async || {
        let checks = looma.app().registry.counts().checks;
        (checks.under_way == 3 && checks.waiting == 7).then_some(())
    })
    .await;
    looma.advance(Duration::from_secs(60));
    eventually("end of some", async || {
        assert!(looma.app().registry.counts().checks.under_way <= 3);
        (done(&looma) >= 6).then_some(())
    })
    .await;
    assert!(peer.taken() >= 6);
    looma.stop().await;
}

/// One of several replicas does the checks; when it stops another takes over, and what was found stands meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_checks_and_another_takes_over() {
    if !postgres_available().await {
        return;
    }
    let store = Store::postgres().await.unwrap();
    let one = TestServer::start(store.clone()).await;
    let two = TestServer::start(store).await;
    let peer = Receiver::start().await;
    let check = json!({"kind": "http", "interval_seconds": 2, "timeout_seconds": 1, "critical_after": 1});
    register(&one, &checked("a", &peer.url(), check)).await;
    for _ in 0..6 {
        second(&one).await;
        second(&two).await;
        two.run_task("feed.follow").await;
    }
    assert!(done(&one) >= 2, "{}", done(&one));
    assert_eq!((done(&two), health(&two, "a").await), (0, "healthy".to_owned()));
    one.stop().await;
    peer.answer(500);
    seconds(&two, 6).await;
    assert!(done(&two) >= 1);
    assert_eq!(health(&two, "a").await, "critical");
    two.stop().await;
}
