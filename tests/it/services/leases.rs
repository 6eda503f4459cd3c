//! Leases: who falls silent, who comes back, and what must never end anybody.

use std::time::Duration;

use looma::{clock::Timestamp, settings::Settings};
use looma_tests::{Store, TestServer, both_databases, postgres_available};
use serde_json::{Value, json};

use super::{beat, count, head, read, register, register_many, service, state, with};

both_databases! {
    /// What misses its time-to-live becomes critical, with a reason; a heartbeat brings it back.
    async fn silence_makes_it_critical_and_a_heartbeat_brings_it_back(looma: TestServer) {
        register(looma, &service("a", "x")).await;
        beat(looma, "a").await;
        looma.live(14).await;
        assert_eq!(state(&read(looma, "a").await), ("active", "healthy"));
        looma.live(2).await;
        let silent = read(looma, "a").await;
        assert_eq!(state(&silent), ("failed", "critical"));
        assert_eq!(silent["health_reason"], "no heartbeat came within 15 s");
        let before = head(looma).await;
        looma.live(20).await;
        assert_eq!(head(looma).await, before, "it is told once");
        beat(looma, "a").await;
        let back = read(looma, "a").await;
        assert_eq!((state(&back), &back["health_reason"]), (("active", "healthy"), &Value::Null));
        looma.live(16).await;
        assert_eq!(state(&read(looma, "a").await), ("failed", "critical"), "the new lease ends like the first");
    }

    /// The first look after a lease ran out tells of it, wherever in a second it began.
    async fn a_lease_is_ended_by_the_first_look_after_it(looma: TestServer) {
        looma.advance(Duration::from_millis(900));
        register(looma, &with(service("a", "x"), json!({"ttl_seconds": 2}))).await;
        beat(looma, "a").await;
        looma.live(1).await;
        assert_eq!(state(&read(looma, "a").await), ("active", "healthy"));
        looma.live(1).await;
        assert_eq!(state(&read(looma, "a").await), ("failed", "critical"));
    }

    /// Heartbeats in time keep a lease alive for as long as they come, and a registration without any ends too.
    async fn heartbeats_keep_it_alive(looma: TestServer) {
        register(looma, &service("beats", "x")).await;
        register(looma, &service("never", "x")).await;
        for _ in 0..8 {
            beat(looma, "beats").await;
            looma.live(5).await;
        }
        assert_eq!(state(&read(looma, "beats").await), ("active", "healthy"));
        assert_eq!(state(&read(looma, "never").await), ("failed", "critical"));
    }

    /// Where no heartbeat is expected none is missed: health stays what was last set.
    async fn no_ttl_means_no_expiry(looma: TestServer) {
        register(looma, &with(service("a", "x"), json!({"ttl_seconds": 0}))).await;
        looma.live(40).await;
        assert_eq!(state(&read(looma, "a").await), ("registered", "unknown"));
        let set = json!({"health_status": "warning", "health_reason": "disk", "status": "active"});
        looma.admin().await.patch("/services/a", &set).await.expect(200);
        looma.live(40).await;
        let kept = read(looma, "a").await;
        assert_eq!((state(&kept), &kept["health_reason"]), (("active", "warning"), &json!("disk")));
    }

    /// A shorter time-to-live counts from the renewal that brings it.
    async fn a_shorter_ttl_counts_at_once(looma: TestServer) {
        register(looma, &with(service("a", "x"), json!({"ttl_seconds": 600}))).await;
        looma.admin().await.post("/services", &with(service("a", "x"), json!({"ttl_seconds": 3}))).await.expect(200);
        looma.live(5).await;
        assert_eq!(state(&read(looma, "a").await), ("failed", "critical"));
    }

    /// When too many fall silent at once, only a share is marked critical in a sweep, and that is shown.
    async fn mass_silence_is_held_back(looma: TestServer) {
        register_many(looma, "x", 100, &json!({})).await;
        looma.live(14).await;
        assert_eq!(count(looma, "health_status=critical").await, 0);
        looma.live(1).await;
        assert_eq!(count(looma, "health_status=critical").await, 15);
        let shown = looma.admin().await.get("/discovery/x").await.expect(200);
        assert_eq!(shown["protection"]["active"], true);
        assert_eq!(shown["protection"]["since"], "2026-01-01T00:00:15.000Z");
        assert!(shown["protection"]["reason"].as_str().unwrap().starts_with("100 of 100 live services"), "{shown}");
        looma.run_task("registry.expire").await;
        assert_eq!(count(looma, "health_status=critical").await, 15, "a second sweep in the same second ends nothing");
        looma.live(1).await;
        assert_eq!(count(looma, "health_status=critical").await, 27);
        looma.admin().await.delete("/services/x-0000").await.expect(204);
        let ids: Vec<String> = (1..100).map(|n| format!("x-{n:04}")).collect();
        looma.admin().await.post("/heartbeats", &json!({"service_ids": ids})).await.expect(200);
        looma.live(1).await;
        assert_eq!(count(looma, "health_status=healthy").await, 99);
        let shown = looma.admin().await.get("/discovery/x").await.expect(200);
        assert_eq!(shown["protection"], json!({"active": false, "since": null, "reason": null}));
    }

    /// Of a name whose instances fall silent together only a share is marked in a sweep too, however many others there are;
    /// that is shown, and deregistering is not in its way.
    async fn a_name_is_held_back_of_its_own(looma: TestServer) {
        register_many(looma, "x", 40, &json!({})).await;
        register_many(looma, "y", 360, &json!({"ttl_seconds": 600})).await;
        looma.live(15).await;
        assert_eq!(count(looma, "service_name=x&health_status=critical").await, 6, "15 of 100 of them");
        let shown = looma.admin().await.get("/discovery/x").await.expect(200);
        let reason = shown["protection"]["reason"].as_str().unwrap();
        let why = "40 of 400 live services missed their heartbeats or failed their checks; at most 60 of them, and of the 40 of x at most 6, are marked critical in one sweep";
        assert_eq!((reason, &shown["protection"]["active"]), (why, &json!(true)));
        looma.live(1).await;
        assert_eq!(count(looma, "service_name=x&health_status=critical").await, 11);
        looma.admin().await.delete("/services/x-0000").await.expect(204);
        looma.live(40).await;
        assert_eq!((count(looma, "health_status=critical").await, looma.app().registry.protection().active), (39, false));
    }

    /// A pause that is not long against a short lease ends none either, because what was sent meanwhile is read first; but a
    /// server that is always late ends what is over.
    async fn a_short_pause_ends_no_short_lease(looma: TestServer) {
        register(looma, &with(service("a", "x"), json!({"ttl_seconds": 5}))).await;
        beat(looma, "a").await;
        looma.live(1).await;
        looma.advance(Duration::from_secs(5));
        looma.run_task("registry.expire").await;
        assert_eq!(state(&read(looma, "a").await), ("active", "healthy"), "its heartbeats may wait to be read");
        beat(looma, "a").await;
        looma.live(4).await;
        assert_eq!(state(&read(looma, "a").await), ("active", "healthy"));
        for _ in 0..2 {
            looma.advance(Duration::from_secs(5));
            looma.run_task("registry.expire").await;
        }
        assert_eq!(state(&read(looma, "a").await), ("failed", "critical"));
    }

    /// A pause of the process ends no lease, and neither does a jump of the wall clock, in either direction.
    async fn pauses_and_clock_jumps_end_nothing(looma: TestServer) {
        register(looma, &service("a", "x")).await;
        beat(looma, "a").await;
        looma.clock.jump(Timestamp::parse("2031-01-01T00:00:00Z").unwrap());
        looma.live(5).await;
        looma.clock.jump(Timestamp::parse("2020-01-01T00:00:00Z").unwrap());
        looma.live(5).await;
        assert_eq!(state(&read(looma, "a").await), ("active", "healthy"));
        beat(looma, "a").await;
        looma.advance(Duration::from_secs(3600));
        looma.run_task("registry.expire").await;
        looma.live(13).await;
        assert_eq!(state(&read(looma, "a").await), ("active", "healthy"), "everybody gets one time-to-live more");
        looma.live(3).await;
        assert_eq!(state(&read(looma, "a").await), ("failed", "critical"), "and no more than that");
    }
}

/// Runs `claim` with a server on each database.
async fn on_both<F: Future<Output = ()>>(claim: impl Fn(TestServer) -> F) {
    claim(TestServer::start(Store::sqlite()).await).await;
    if postgres_available().await {
        claim(TestServer::start(Store::postgres().await.unwrap()).await).await;
    }
}

/// After a restart everything is as it was, and nobody expires before one whole time-to-live.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_loses_nothing_and_ends_nothing() {
    on_both(|looma| async move {
        register(&looma, &with(service("a", "x"), json!({"config": {"k": [1, 2.5, null]}, "tags": {"zone": "a"}})))
            .await;
        register(&looma, &service("m", "x")).await;
        looma
            .admin()
            .await
            .post("/services/m/maintenance", &json!({"enabled": true, "reason": "disk"}))
            .await
            .expect(200);
        beat(&looma, "a").await;
        looma.live(10).await;
        beat(&looma, "a").await;
        let (a, m) = (read(&looma, "a").await, read(&looma, "m").await);
        let looma = looma.restart().await;
        let mut again = read(&looma, "a").await;
        assert_eq!(again["last_heartbeat"], a["last_heartbeat"], "what came before the end was written");
        again["last_heartbeat"] = a["last_heartbeat"].clone();
        assert_eq!((again, read(&looma, "m").await), (a, m));
        looma.live(14).await;
        assert_eq!(state(&read(&looma, "a").await), ("active", "healthy"));
        looma.live(2).await;
        assert_eq!(state(&read(&looma, "a").await), ("failed", "critical"));
        assert_eq!(read(&looma, "m").await["maintenance"]["reason"], "disk");
        looma.stop().await;
    })
    .await;
}

/// Ten names with a thousand services each, and the ids of all.
async fn ten_thousand(looma: &TestServer) -> Vec<String> {
    let names: Vec<String> = (0..10).map(|n| format!("name-{n}")).collect();
    for name in &names {
        register_many(looma, name, 1000, &json!({})).await;
    }
    names.iter().flat_map(|name| (0..1000).map(move |n| format!("{name}-{n:04}"))).collect()
}

async fn beat_all(looma: &TestServer, ids: &[String]) {
    let answer = looma.admin().await.post("/heartbeats", &json!({"service_ids": ids})).await.expect(200);
    assert_eq!(answer["unknown"], json!([]));
}

/// How many are healthy, from memory.
fn healthy(looma: &TestServer) -> u64 {
    let counts = looma.app().registry.counts();
    counts.services.iter().filter(|((health, _), _)| *health == "healthy").map(|(_, count)| count).sum()
}

/// A restart with ten thousand live services ends none of them before it has had its whole time-to-live to be heard of, and
/// forgets none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_ten_thousand_live_loses_nobody() {
    on_both(|looma| async move {
        let ids = ten_thousand(&looma).await;
        beat_all(&looma, &ids).await;
        looma.live(10).await;
        let looma = looma.restart().await;
        assert_eq!(healthy(&looma), 10_000);
        looma.live(14).await;
        assert_eq!(healthy(&looma), 10_000);
        beat_all(&looma, &ids).await;
        looma.live(14).await;
        assert_eq!((healthy(&looma), looma.app().registry.counts().expired), (10_000, 0));
        looma.stop().await;
    })
    .await;
}

/// When half of ten thousand services are cut off, of each name, the other half is not touched, those that are cut off are
/// marked a share at a time, which is shown, and stay registered; all are back with their first heartbeat.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_of_half_of_them_loses_nobody() {
    on_both(|looma| async move {
        let ids = ten_thousand(&looma).await;
        let (reached, cut_off): (Vec<String>, Vec<String>) =
            ids.iter().cloned().partition(|id| id.as_bytes()[id.len() - 1] % 2 == 0);
        beat_all(&looma, &ids).await;
        let (mut before, mut protected) = (healthy(&looma), 0);
        for second in 0..40 {
            if second % 10 == 0 {
                beat_all(&looma, &reached).await;
            }
            looma.live(1).await;
            let now = healthy(&looma);
            assert!(before - now <= 1500, "{before} and {now} at {second} s");
            protected += u32::from(looma.app().registry.protection().active);
            before = now;
        }
        assert_eq!((healthy(&looma), looma.app().registry.counts().expired), (5000, 5000));
        assert!(protected >= 3, "{protected}");
        let known = |id: &String| looma.app().registry.service(&id.as_str().into()).unwrap().health_status.as_str();
        assert!(reached.iter().all(|id| known(id) == "healthy") && cut_off.iter().all(|id| known(id) == "critical"));
        beat_all(&looma, &cut_off).await;
        assert_eq!((healthy(&looma), looma.app().registry.protection().active), (10_000, false));
        looma.stop().await;
    })
    .await;
}

/// Below the number that protection begins at, everything that is silent is told in one sweep.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_services_are_not_protected() {
    let store = Store::sqlite();
    let mut settings: Settings = store.settings();
    settings.registry.min_protected = 31;
    let looma = TestServer::start_with(store, settings).await;
    register_many(&looma, "x", 30, &json!({"ttl_seconds": 5})).await;
    looma.live(5).await;
    assert_eq!(count(&looma, "health_status=critical").await, 30);
    looma.stop().await;
}

/// Two replicas on one database: a service that one of them hears of is not ended by the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_to_one_replica_counts_for_all() {
    let Some(store) = Store::postgres().await else { return };
    let settings = store.settings();
    let one = TestServer::start(store.clone()).await;
    let two = TestServer::start_with(store, settings).await;
    register(&one, &service("a", "x")).await;
    two.run_task("feed.follow").await;
    for second in 0..40 {
        if second % 5 == 0 {
            beat(&one, "a").await;
        }
        one.live(1).await;
        two.live(1).await;
    }
    two.run_task("feed.follow").await;
    assert_eq!(state(&read(&two, "a").await), ("active", "healthy"));
    assert_eq!(one.app().registry.counts().expired + two.app().registry.counts().expired, 0);
    for _ in 0..32 {
        one.live(1).await;
        two.live(1).await;
    }
    two.run_task("feed.follow").await;
    assert_eq!(state(&read(&two, "a").await), ("failed", "critical"));
    assert_eq!(
        one.app().registry.counts().expired + two.app().registry.counts().expired,
        1,
        "one of them told it, once"
    );
    one.stop().await;
    two.stop().await;
}
