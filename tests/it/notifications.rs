//! What people are told, and when.

use looma_tests::{Receiver, Store, TestServer, both_databases};
use serde_json::{Value, json};

use crate::{
    alerts::{alerts, rule, sample, tick},
    channels::webhook,
};

/// A server whose alerts all go to a receiver, by a route that `change` changes, with a rule that fires at once.
async fn watched(looma: &TestServer, change: Value) -> Receiver {
    looma.load_plugins(&["threshold", "webhook"]).await;
    let receiver = Receiver::start().await;
    webhook(looma, "ops-hook", &receiver).await;
    let mut route =
        json!({"name": "all", "channels": ["ops-hook"], "group_by": ["rule_name"], "group_wait_seconds": 0});
    route.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    looma.admin().await.post("/routes", &route).await.expect(201);
    rule(looma, "cpu high", json!({})).await;
    receiver
}

async fn log(looma: &TestServer, filter: &str) -> Vec<Value> {
    let page = looma.admin().await.get(&format!("/notifications?{filter}")).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

both_databases! {
    /// The webhook gets what is promised when an alert fires, and again when it is over; the log has both.
    async fn a_webhook_hears_of_the_beginning_and_the_end(looma: TestServer) {
        let receiver = watched(looma, json!({})).await;
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 10).await;
        let fired = receiver.next().await.json;
        assert_eq!((&fired["status"], &fired["title"]), (&json!("firing"), &json!("[FIRING:1] cpu high")));
        assert_eq!(fired["group"], json!({"rule_name": "cpu high"}));
        let alert = &fired["alerts"][0];
        let keys: Vec<&str> = alert.as_object().unwrap().keys().map(String::as_str).collect();
        for key in ["id", "rule", "status", "severity", "service_id", "service_name", "labels", "value", "message", "started_at", "ended_at"] {
            assert!(keys.contains(&key), "{key}: {alert}");
        }
        assert_eq!((&alert["rule"], &alert["severity"], &alert["value"]), (&json!("cpu high"), &json!("critical"), &json!(95.0)));
        assert_eq!(alert["message"], "ai-1 cpu at 95%");
        sample(looma, "ai-1", 20.0).await;
        tick(looma, 10).await;
        let over = receiver.next().await.json;
        assert_eq!((&over["status"], &over["alerts"][0]["status"]), (&json!("resolved"), &json!("resolved")));
        assert_eq!(over["alerts"][0]["id"], alert["id"]);
        assert!(!over["alerts"][0]["ended_at"].is_null());
        let told = log(looma, &format!("alert_id={}", alert["id"].as_str().unwrap())).await;
        assert_eq!(told.len(), 2);
        assert!(told.iter().all(|one| one["status"] == "delivered" && one["channel"] == "ops-hook"), "{told:?}");
        assert_eq!(log(looma, "channel=ops-hook&status=delivered").await.len(), 2);
        assert!(log(looma, "channel=elsewhere").await.is_empty());
    }

    /// A channel that is busy is tried again with growing pauses, with the same id; then it has it once.
    async fn a_busy_channel_is_tried_again(looma: TestServer) {
        let receiver = watched(looma, json!({})).await;
        receiver.answer(503);
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 10).await;
        let first = receiver.next().await;
        let queued = log(looma, "status=queued").await;
        assert_eq!((&queued[0]["attempt"], &queued[0]["id"]), (&json!(1), &first.json["id"]));
        assert!(queued[0]["last_error"].as_str().unwrap().contains("503"), "{queued:?}");
        tick(looma, 1).await;
        assert!(receiver.taken().await.is_none(), "it waits 2 s");
        tick(looma, 1).await;
        assert_eq!(receiver.next().await.json["id"], first.json["id"]);
        receiver.answer(200);
        tick(looma, 4).await;
        assert_eq!(receiver.next().await.json["id"], first.json["id"]);
        let delivered = log(looma, "").await;
        assert_eq!((&delivered[0]["status"], &delivered[0]["attempt"]), (&json!("delivered"), &json!(3)), "{delivered:?}");
        tick(looma, 100).await;
        assert!(receiver.taken().await.is_none(), "it is told once");
    }

    /// What a channel refuses is given up at once.
    async fn a_refusal_is_final(looma: TestServer) {
        let receiver = watched(looma, json!({})).await;
        receiver.answer(400);
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 10).await;
        receiver.next().await;
        let failed = log(looma, "status=failed").await;
        assert_eq!(failed[0]["attempt"], 1, "{failed:?}");
        tick(looma, 250).await;
        assert!(receiver.taken().await.is_none());
    }

    /// Alerts of one group are told together, and what comes later is told after `group_interval`.
    async fn a_group_is_told_together(looma: TestServer) {
        let receiver = watched(looma, json!({"group_wait_seconds": 20, "group_interval_seconds": 60})).await;
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 10).await;
        sample(looma, "ai-2", 95.0).await;
        tick(looma, 10).await;
        assert!(receiver.taken().await.is_none(), "the first waits for others");
        tick(looma, 10).await;
        assert_eq!(receiver.next().await.json["alerts"].as_array().unwrap().len(), 2);
        sample(looma, "ai-3", 95.0).await;
        tick(looma, 10).await;
        assert!(receiver.taken().await.is_none(), "what is added waits");
        tick(looma, 50).await;
        assert_eq!(receiver.next().await.json["alerts"].as_array().unwrap().len(), 3);
        for service in ["ai-1", "ai-2", "ai-3"] {
            sample(looma, service, 20.0).await;
        }
        tick(looma, 10).await;
        let over = receiver.next().await.json;
        assert_eq!((&over["status"], over["alerts"].as_array().unwrap().len()), (&json!("resolved"), 3));
    }

    /// An alert that goes on is told again, until somebody takes care of it.
    async fn an_alert_is_repeated_until_it_is_acknowledged(looma: TestServer) {
        let receiver = watched(looma, json!({"repeat_interval_seconds": 100})).await;
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 10).await;
        receiver.next().await;
        tick(looma, 99).await;
        assert!(receiver.taken().await.is_none());
        tick(looma, 1).await;
        receiver.next().await;
        let id = alerts(looma, "status=firing").await[0]["id"].as_str().unwrap().to_owned();
        looma.admin().await.post(&format!("/alerts/{id}/acknowledge"), &json!({})).await.expect(200);
        tick(looma, 100).await;
        assert!(receiver.taken().await.is_none());
    }

    /// A silenced alert fires and is shown, and nobody is told before the silence ends.
    async fn a_silenced_alert_is_not_told(looma: TestServer) {
        let receiver = watched(looma, json!({"group_interval_seconds": 10})).await;
        let silence = json!({"match": {"service_id": "ai-1"}, "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-01-01T00:01:00Z"});
        looma.admin().await.post("/silences", &silence).await.expect(201);
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 10).await;
        let alert = &alerts(looma, "").await[0];
        assert_eq!((&alert["status"], &alert["silenced"]), (&json!("firing"), &json!(true)));
        tick(looma, 40).await;
        assert!(log(looma, "").await.is_empty());
        tick(looma, 20).await;
        assert_eq!(receiver.next().await.json["status"], "firing");
    }

    /// An alert that no route takes is told to nobody, and the log says so.
    async fn an_alert_without_a_route_is_seen(looma: TestServer) {
        let receiver = watched(looma, json!({"match": {"severity": "info"}})).await;
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 10).await;
        let log = log(looma, "status=unrouted").await;
        assert_eq!((log.len(), &log[0]["channel"]), (1, &Value::Null), "{log:?}");
        assert!(receiver.taken().await.is_none());
    }

    /// The first route that matches ends the search, unless it says `continue`; a switched-off channel is skipped.
    async fn routes_are_tried_in_order(looma: TestServer) {
        let receiver = watched(looma, json!({"position": 10})).await;
        let admin = looma.admin().await;
        looma.load_plugins(&["log"]).await;
        admin.post("/channels", &json!({"name": "off", "notifier": "log", "enabled": false})).await.expect(201);
        let first = json!({"name": "first", "channels": ["off"], "position": 1, "group_wait_seconds": 0, "continue": true});
        admin.post("/routes", &first).await.expect(201);
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 10).await;
        receiver.next().await;
        let skipped = log(looma, "status=skipped").await;
        assert_eq!((&skipped[0]["route"], &skipped[0]["channel"]), (&json!("first"), &json!("off")));
        admin.patch("/routes/first", &json!({"continue": false})).await.expect(200);
        sample(looma, "ai-2", 95.0).await;
        tick(looma, 70).await;
        assert!(receiver.taken().await.is_none(), "the first route ended the search");
    }

    /// What was claimed by a replica that is gone is tried again.
    async fn a_claim_of_a_dead_replica_is_freed(looma: TestServer) {
        let receiver = watched(looma, json!({})).await;
        receiver.answer(503);
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 10).await;
        let id = receiver.next().await.json["id"].clone();
        let mut tx = looma.app().db.write().await.unwrap();
        let claim = "UPDATE notifications SET claimed_by = 'gone', attempt = 2, next_attempt_at = $1";
        let until = looma.app().clock.now().plus(std::time::Duration::from_secs(120));
        looma::on_db!(&mut tx, |c| sqlx::query(claim).bind(until).execute(c).await.map(drop)).unwrap();
        tx.commit().await.unwrap();
        receiver.answer(200);
        tick(looma, 3).await;
        assert!(receiver.taken().await.is_none(), "it is claimed");
        looma.run_task("notify.release").await;
        tick(looma, 1).await;
        assert_eq!(receiver.next().await.json["id"], id);
    }

    /// Alerts that are ended and acknowledged by hand while their groups are told do not get into each other's way.
    async fn many_at_once_do_not_lock_each_other_out(looma: TestServer) {
        let receiver = watched(looma, json!({"continue": true, "group_interval_seconds": 1})).await;
        let admin = looma.admin().await;
        for (name, by) in [("by service", json!(["service_id"])), ("together", json!([]))] {
            let route = json!({"name": name, "channels": ["ops-hook"], "group_by": by, "group_wait_seconds": 0,
                "group_interval_seconds": 1, "continue": true});
            admin.post("/routes", &route).await.expect(201);
        }
        for _ in 0..6 {
            for n in 0..12 {
                sample(looma, &format!("ai-{n}"), 95.0).await;
            }
            looma.advance(std::time::Duration::from_secs(10));
            looma.run_task("alerts.evaluate").await;
            let firing = alerts(looma, "status=firing").await;
            assert_eq!(firing.len(), 12);
            let by_hand = firing.iter().enumerate().map(|(n, alert)| async move {
                let what = if n % 3 == 0 { "acknowledge" } else { "resolve" };
                admin.post(&format!("/alerts/{}/{what}", alert["id"].as_str().unwrap()), &json!({})).await.expect(200);
            });
            let told = async {
                for _ in 0..3 {
                    looma.run_task("notify.deliver").await;
                }
            };
            tokio::join!(futures_util::future::join_all(by_hand), told);
        }
        receiver.next().await;
    }
}

/// A transaction that PostgreSQL ends for the sake of another is tried again, by who evaluates and by who tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_tried_again() {
    let Some(store) = Store::postgres().await else { return };
    let looma = TestServer::start(store).await;
    let receiver = watched(&looma, json!({})).await;
    let broken = "CREATE SEQUENCE faults; \
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        IF nextval('faults') IN (1, 2, 4, 5) THEN RAISE EXCEPTION 'the loser' USING ERRCODE = '40P01'; END IF; RETURN NEW; END $$; \
        CREATE TRIGGER fail BEFORE INSERT ON alert_records FOR EACH ROW EXECUTE FUNCTION fail(); \
        CREATE TRIGGER fail BEFORE INSERT ON notifications FOR EACH ROW EXECUTE FUNCTION fail()";
    let mut tx = looma.app().db.write().await.unwrap();
    looma::on_db!(&mut tx, |c| sqlx::raw_sql(broken).execute(c).await.map(drop)).unwrap();
    tx.commit().await.unwrap();
    sample(&looma, "ai-1", 95.0).await;
    tick(&looma, 10).await;
    assert_eq!(alerts(&looma, "status=firing").await.len(), 1);
    let rule = &looma.admin().await.get("/alert-rules").await.expect(200)["items"][0];
    assert_eq!(rule["last_error"], Value::Null, "{rule}");
    assert_eq!(receiver.next().await.json["status"], "firing");
    looma.stop().await;
}
