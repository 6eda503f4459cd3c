//! Health over time: what changes too often is held, what is late has its grace, what stays critical goes for good.

use std::time::Duration;

use looma::settings::Settings;
use looma_tests::{Store, TestServer, both_databases, postgres_available};
use serde_json::{Value, json};

use super::{beat, count, head, read, register, register_many, service, state, with};

/// Falls silent and comes back, once: two changes in 6 s.
async fn flap(looma: &TestServer) {
    looma.live(5).await;
    beat(looma, "a").await;
    looma.live(1).await;
}

async fn registered_for_flapping(looma: &TestServer) {
    register(looma, &with(service("a", "x"), json!({"ttl_seconds": 5}))).await;
    beat(looma, "a").await;
}

/// Beats for so many seconds.
async fn beats_for(looma: &TestServer, seconds: u64) {
    for _ in 0..seconds {
        beat(looma, "a").await;
        looma.live(1).await;
    }
}

both_databases! {
    /// A service whose health changes more than five times in a minute is held at its worse state, and changes nobody
    /// sees wake nobody, until it has not changed for a minute.
    async fn what_changes_too_often_is_held_until_it_is_quiet(looma: TestServer) {
        registered_for_flapping(looma).await;
        for _ in 0..2 {
            flap(looma).await;
            assert_eq!(state(&read(looma, "a").await), ("active", "healthy"));
        }
        flap(looma).await;
        let held = read(looma, "a").await;
        assert_eq!(state(&held), ("failed", "critical"), "the sixth change, though for the better, is one too many");
        let why = "its health changed more than 5 times in 60 s: it is held at critical until it has not changed for 60 s";
        assert_eq!(held["health_reason"], why);
        assert_eq!((&held["signals"]["lease"]["health"], &held["signals"]["held"]["health"]), (&json!("healthy"), &json!("critical")));
        let name = looma.admin().await.get("/discovery/x").await.expect(200);
        for _ in 0..3 {
            flap(looma).await;
        }
        let same = read(looma, "a").await;
        assert_eq!((&same["revision"], &same["updated_at"]), (&held["revision"], &held["updated_at"]));
        assert_eq!(looma.admin().await.get("/discovery/x").await.expect(200)["revision"], name["revision"]);
        beats_for(looma, 58).await;
        assert_eq!(state(&read(looma, "a").await), ("failed", "critical"));
        beats_for(looma, 4).await;
        let back = read(looma, "a").await;
        assert_eq!((state(&back), &back["signals"]["held"], &back["health_reason"]), (("active", "healthy"), &Value::Null, &Value::Null));
        looma.live(6).await;
        assert_eq!(state(&read(looma, "a").await), ("failed", "critical"), "it is told like any other again");
    }

    /// Changes that nobody is shown reach no watcher, and are there after a restart.
    async fn a_hold_is_quiet_on_the_feed(looma: TestServer) {
        registered_for_flapping(looma).await;
        for _ in 0..3 {
            flap(looma).await;
        }
        let before = head(looma).await;
        for _ in 0..2 {
            flap(looma).await;
        }
        assert!(head(looma).await > before, "replicas are told");
        let seen = looma.app().feed.after(looma::ids::Revision(before), 100).await.unwrap().unwrap();
        let topics: Vec<_> = seen.iter().map(|change| change.topic.as_str()).collect();
        assert!(topics.iter().all(|topic| *topic == "service_signals"), "{topics:?}");
    }

    /// What is said by hand is not counted, and ends the hold.
    async fn saying_it_by_hand_ends_a_hold(looma: TestServer) {
        registered_for_flapping(looma).await;
        for n in 0..12 {
            let said = json!({"health_status": if n % 2 == 0 { "warning" } else { "healthy" }});
            looma.admin().await.patch("/services/a", &said).await.expect(200);
        }
        assert_eq!(state(&read(looma, "a").await), ("active", "healthy"));
        for _ in 0..3 {
            flap(looma).await;
        }
        assert_eq!(state(&read(looma, "a").await), ("failed", "critical"));
        looma.admin().await.patch("/services/a", &json!({"weight": 5})).await.expect(200);
        assert_eq!(state(&read(looma, "a").await), ("failed", "critical"), "that says nothing of its health");
        let said = json!({"health_status": "healthy", "health_reason": null, "status": "active"});
        let freed = looma.admin().await.patch("/services/a", &said).await.expect(200);
        assert_eq!((state(&freed), &freed["signals"]["held"]), (("active", "healthy"), &Value::Null));
    }

    /// A service that is critical for as long as it says is removed, and the audit keeps what it was; one that is worked
    /// on, one that says never, and one that came back in time are not.
    async fn what_stays_critical_is_removed_and_remembered(looma: TestServer) {
        let goes = json!({"deregister_after_seconds": 100, "tags": {"zone": "a"}});
        for id in ["goes", "worked-on", "back"] {
            register(looma, &with(service(id, "x"), goes.clone())).await;
        }
        register(looma, &with(service("never", "x"), json!({"deregister_after_seconds": 0}))).await;
        register(looma, &service("unsaid", "x")).await;
        looma.admin().await.post("/services/worked-on/maintenance", &json!({"enabled": true})).await.expect(200);
        looma.live(16).await;
        assert_eq!(read(looma, "goes").await["health_since"], "2026-01-01T00:00:15.000Z");
        looma.live(90).await;
        beat(looma, "back").await;
        looma.live(8).await;
        looma.run_task("registry.remove").await;
        assert_eq!(state(&read(looma, "goes").await), ("failed", "critical"), "99 s are not enough");
        looma.live(1).await;
        looma.run_task("registry.remove").await;
        looma.admin().await.get("/services/goes").await.expect(404);
        for id in ["worked-on", "back", "never", "unsaid"] {
            read(looma, id).await;
        }
        let audit = looma.admin().await.get("/audit-logs?resource_type=services&action=delete").await.expect(200);
        let row = &audit["items"][0];
        assert_eq!((&row["resource_id"], audit["items"].as_array().unwrap().len()), (&json!("goes"), 1), "{audit}");
        assert!(row.to_string().contains("system:registry.remove"), "{row}");
        assert!(row.to_string().contains("no heartbeat came within 15 s"), "{row}");
        looma.admin().await.post("/services/worked-on/maintenance", &json!({"enabled": false})).await.expect(200);
        looma.run_task("registry.remove").await;
        looma.admin().await.get("/services/worked-on").await.expect(404);
    }

    /// Many that are over at once go a share at a time: they may have been cut off together.
    async fn many_are_removed_a_share_at_a_time(looma: TestServer) {
        register_many(looma, "x", 100, &json!({})).await;
        looma.live(110).await;
        looma.run_task("registry.remove").await;
        for n in 0..100 {
            let patch = json!({"deregister_after_seconds": 60});
            looma.admin().await.patch(&format!("/services/x-{n:04}"), &patch).await.expect(200);
        }
        for left in [85, 73] {
            looma.run_task("registry.remove").await;
            assert_eq!(count(looma, "service_name=x").await, left);
        }
    }

    /// Nothing is removed while the wall clock is in doubt: a leap makes nobody critical for long.
    async fn a_leap_of_the_clock_removes_nothing(looma: TestServer) {
        register(looma, &with(service("a", "x"), json!({"deregister_after_seconds": 86_400}))).await;
        looma.live(90).await;
        assert_eq!(state(&read(looma, "a").await), ("failed", "critical"));
        looma.clock.jump(looma::clock::Timestamp::parse("2031-01-01T00:00:00Z").unwrap());
        let status = looma.app().tasks.run_now("registry.remove").await.unwrap();
        assert!(status.last_error.unwrap().contains("wall clock"));
        assert!(looma.app().registry.exists(&"a".into()));
    }
}

/// Runs `claim` with a server of these settings on each database.
async fn on_both<F: Future<Output = ()>>(set: impl Fn(&mut Settings), claim: impl Fn(TestServer) -> F) {
    let mut stores = vec![Store::sqlite()];
    if postgres_available().await {
        stores.extend(Store::postgres().await);
    }
    for store in stores {
        let mut settings = store.settings();
        set(&mut settings);
        claim(TestServer::start_with(store, settings).await).await;
    }
}

/// A heartbeat that comes a share of the time-to-live too late is in time, and that is told of one that does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_heartbeat_has_its_grace() {
    let set = |settings: &mut Settings| settings.registry.late_beat_grace = 0.2;
    on_both(set, |looma| async move {
        register(&looma, &service("a", "x")).await;
        beat(&looma, "a").await;
        looma.live(17).await;
        assert_eq!(state(&read(&looma, "a").await), ("active", "healthy"));
        looma.live(2).await;
        assert_eq!(read(&looma, "a").await["health_reason"], "no heartbeat came within 15 s and 3.0 s of grace");
        looma.stop().await;
    })
    .await;
}

/// After a restart a hold holds, and nothing is removed before the server has had time to hear of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_a_hold_and_listens_first() {
    let set = |settings: &mut Settings| {
        settings.registry.deregister_after_seconds = 30;
        settings.registry.flap_window_seconds = 600;
    };
    on_both(set, |looma| async move {
        registered_for_flapping(&looma).await;
        register(&looma, &service("gone", "x")).await;
        for _ in 0..3 {
            flap(&looma).await;
        }
        let held = read(&looma, "a").await;
        assert_eq!(held["signals"]["held"]["health"], "critical", "{held}");
        let looma = looma.restart().await;
        assert_eq!(read(&looma, "a").await["signals"], held["signals"]);
        looma.live(60).await;
        looma.run_task("registry.remove").await;
        assert_eq!(state(&read(&looma, "gone").await), ("failed", "critical"), "the server has not listened for long");
        looma.live(16).await;
        looma.run_task("registry.remove").await;
        looma.admin().await.get("/services/gone").await.expect(404);
        looma.stop().await;
    })
    .await;
}

/// Where damping is switched off nothing is held, and what was held is not any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damping_can_be_switched_off() {
    let set = |settings: &mut Settings| settings.registry.flap_changes = 0;
    on_both(set, |looma| async move {
        registered_for_flapping(&looma).await;
        for _ in 0..8 {
            flap(&looma).await;
            assert_eq!(state(&read(&looma, "a").await), ("active", "healthy"));
        }
        looma.advance(Duration::from_secs(1));
        looma.stop().await;
    })
    .await;
}
