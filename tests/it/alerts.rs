//! Rules, and the alerts that come of them.

use std::time::Duration;

use looma_tests::{Store, TestServer, both_databases};
use serde_json::{Value, json};

/// Sends one sample of now.
pub async fn sample(looma: &TestServer, service: &str, value: f64) {
    let sample = json!({"service_id": service, "metric_name": "cpu_usage", "metric_value": value, "metric_unit": "%", "tags": {"zone": "a"}});
    looma.admin().await.post("/metrics", &json!({"samples": [sample]})).await.expect(204);
}

/// Lets so much time pass, evaluates, and delivers.
pub async fn tick(looma: &TestServer, seconds: u64) {
    looma.advance(Duration::from_secs(seconds));
    looma.run_task("alerts.evaluate").await;
    looma.run_task("notify.deliver").await;
}

/// Makes a rule that fires above 90, changed by `change`; gives its id.
pub async fn rule(looma: &TestServer, name: &str, change: Value) -> String {
    let mut rule = json!({
        "rule_name": name, "metric_name": "cpu_usage", "comparison_operator": ">", "threshold_value": 90.0, "severity": "critical",
        "message": "{{ service_id }} cpu at {{ value }}{{ unit }}",
    });
    rule.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let rule = looma.admin().await.post("/alert-rules", &rule).await.expect(201);
    rule["rule_id"].as_str().unwrap().to_owned()
}

/// The alerts of a filter, newest first.
pub async fn alerts(looma: &TestServer, filter: &str) -> Vec<Value> {
    let page = looma.admin().await.get(&format!("/alerts?{filter}")).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

async fn only(looma: &TestServer) -> Value {
    let all = alerts(looma, "").await;
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

/// Lets the database refuse every new alert, or take them again.
async fn breaks(looma: &TestServer, broken: bool) {
    let sql = match (looma.app().db.kind(), broken) {
        ("sqlite", true) => {
            "CREATE TRIGGER broken BEFORE INSERT ON alert_records BEGIN SELECT RAISE(ABORT, 'broken'); END"
        }
        ("sqlite", false) => "DROP TRIGGER broken",
        (_, true) => {
            "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$; \
             CREATE TRIGGER broken BEFORE INSERT ON alert_records FOR EACH ROW EXECUTE FUNCTION broken()"
        }
        (_, false) => "DROP TRIGGER broken ON alert_records; DROP FUNCTION broken",
    };
    let mut tx = looma.app().db.write().await.unwrap();
    looma::on_db!(&mut tx, |c| sqlx::raw_sql(sql).execute(c).await.map(drop)).unwrap();
    tx.commit().await.unwrap();
}

both_databases! {
    /// An alert is pending until the breach has lasted, fires, and is over when the value is well again.
    async fn an_alert_is_pending_fires_and_ends(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        rule(looma, "cpu high", json!({"for_seconds": 30, "labels": {"team": "ops"}})).await;
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 1).await;
        assert_eq!(only(looma).await["status"], "pending");
        tick(looma, 29).await;
        assert_eq!(only(looma).await["status"], "pending");
        sample(looma, "ai-1", 97.5).await;
        tick(looma, 10).await;
        let alert = only(looma).await;
        assert_eq!(alert["status"], "firing", "{alert}");
        assert_eq!(alert["message"], "ai-1 cpu at 97.5%");
        assert_eq!((&alert["alert_level"], &alert["value"]), (&json!("critical"), &json!(97.5)));
        assert_eq!(alert["labels"], json!({"zone": "a", "team": "ops"}));
        assert_eq!(alert["plugin"]["name"], "threshold");
        assert_eq!(alert["plugin"]["digest"].as_str().unwrap().len(), 64);
        sample(looma, "ai-1", 20.0).await;
        tick(looma, 10).await;
        let alert = only(looma).await;
        assert_eq!((&alert["status"], &alert["resolved"]), (&json!("resolved"), &json!(true)));
        assert_eq!(alert["resolve_reason"], "normal");
        assert_eq!(alerts(looma, "resolved=false").await.len(), 0);
        assert_eq!(alerts(looma, "status=resolved&alert_level=critical&service_id=ai-1").await.len(), 1);
        assert_eq!(alerts(looma, "service_id=ai-2").await.len(), 0);
    }

    /// What was pending and is well again leaves no trace.
    async fn a_breach_that_does_not_last_leaves_no_trace(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        rule(looma, "cpu high", json!({"for_seconds": 30})).await;
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 1).await;
        sample(looma, "ai-1", 20.0).await;
        tick(looma, 10).await;
        assert!(alerts(looma, "").await.is_empty());
    }

    /// `keep_firing_seconds` keeps an alert firing while the value is well, and a breach begins the wait anew.
    async fn keep_firing_bridges_a_dip(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        rule(looma, "cpu high", json!({"keep_firing_seconds": 60})).await;
        for (value, status) in [(95.0, "firing"), (20.0, "firing"), (95.0, "firing"), (20.0, "firing")] {
            sample(looma, "ai-1", value).await;
            tick(looma, 40).await;
            assert_eq!(only(looma).await["status"], status, "{value}");
        }
        tick(looma, 61).await;
        assert_eq!(only(looma).await["status"], "resolved");
    }

    /// A rule that does not fit is refused with each place; what the plugin finds stands under `/config`.
    async fn faults_of_a_rule_are_told(looma: TestServer) {
        looma.load_plugins(&["threshold", "log"]).await;
        let admin = looma.admin().await;
        let base = json!({"rule_name": "r", "metric_name": "m", "severity": "info"});
        let with = |more: Value| {
            let mut rule = base.clone();
            rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            rule
        };
        let refused = admin.post("/alert-rules", &with(json!({"evaluator": "nobody"}))).await;
        assert_eq!(refused.pointers(), ["/evaluator"], "{}", refused.json);
        let refused = admin.post("/alert-rules", &with(json!({"evaluator": "log"}))).await;
        assert_eq!(refused.pointers(), ["/evaluator"], "{}", refused.json);
        let refused = admin.post("/alert-rules", &with(json!({"comparison_operator": ">"}))).await;
        assert!(refused.pointers().iter().all(|at| at.starts_with("/config")), "{}", refused.json);
        refused.expect(422);
        let bad = json!({"message": "{{ value ", "interval_seconds": 0, "labels": {"a b": "c"}});
        let refused = admin.post("/alert-rules", &with(bad)).await;
        assert_eq!(refused.pointers(), ["/interval_seconds", "/labels/a b", "/message"], "{}", refused.json);
        let good = with(json!({"comparison_operator": ">", "threshold_value": 1}));
        let made = admin.post("/alert-rules", &good).await.expect(201);
        assert_eq!((&made["interval_seconds"], &made["evaluator"], &made["enabled"]), (&json!(10), &json!("threshold"), &json!(true)));
        admin.post("/alert-rules", &good).await.expect(409);
    }

    /// A rule is read, replaced and patched; `If-Match` guards it, though the rule is evaluated meanwhile.
    async fn rules_are_kept(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        let admin = looma.admin().await;
        let id = rule(looma, "cpu high", json!({})).await;
        let path = format!("/alert-rules/{id}");
        let read = admin.get(&path).await;
        let tag = read.header("etag").unwrap().to_owned();
        tick(looma, 10).await;
        let evaluated = admin.get(&path).await;
        assert_eq!(evaluated.header("etag"), Some(tag.as_str()));
        assert!(!evaluated.json["last_evaluated_at"].is_null() && evaluated.json["last_error"].is_null(), "{}", evaluated.json);
        let patch = admin.request(reqwest::Method::PATCH, &path).header("if-match", &tag).json(&json!({"for_seconds": 5}));
        assert_eq!(admin.send(patch).await.expect(200)["for_seconds"], 5);
        let patch = admin.request(reqwest::Method::PATCH, &path).header("if-match", &tag).json(&json!({"for_seconds": 6}));
        admin.send(patch).await.expect(412);
        assert_eq!(admin.get("/alert-rules?rule_name=cpu%20high").await.expect(200)["items"][0]["for_seconds"], 5);
        admin.delete(&path).await.expect(204);
        admin.get(&path).await.expect(404);
        rule(looma, "cpu high", json!({})).await;
    }

    /// An evaluator that fails changes no alert; the rule says what is wrong.
    async fn a_failing_evaluator_ends_no_alert(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        let admin = looma.admin().await;
        let id = rule(looma, "cpu high", json!({})).await;
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 10).await;
        admin.post("/plugins/threshold/disable", &json!({})).await.expect(200);
        sample(looma, "ai-1", 20.0).await;
        tick(looma, 400).await;
        assert_eq!(only(looma).await["status"], "firing");
        let shown = admin.get(&format!("/alert-rules/{id}")).await.expect(200);
        assert!(shown["last_error"].as_str().unwrap().contains("threshold"), "{shown}");
        admin.post("/plugins/threshold/enable", &json!({})).await.expect(200);
        sample(looma, "ai-1", 20.0).await;
        tick(looma, 10).await;
        assert_eq!(only(looma).await["resolve_reason"], "normal");
    }

    /// A series that falls silent keeps its alert for five minutes, and then it is over for want of data.
    async fn silence_ends_an_alert_after_five_minutes(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        rule(looma, "cpu high", json!({})).await;
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 10).await;
        tick(looma, 285).await;
        assert_eq!(only(looma).await["status"], "firing");
        tick(looma, 10).await;
        assert_eq!(only(looma).await["resolve_reason"], "no data");
    }

    /// The evaluator `absence` fires for the silence itself.
    async fn absence_fires_for_silence(looma: TestServer) {
        looma.load_plugins(&["absence"]).await;
        let silent = json!({"evaluator": "absence", "config": {"absent_seconds": 60}, "comparison_operator": null, "threshold_value": null});
        rule(looma, "silent", silent).await;
        sample(looma, "ai-1", 1.0).await;
        tick(looma, 30).await;
        assert!(alerts(looma, "").await.is_empty());
        tick(looma, 40).await;
        assert_eq!(only(looma).await["status"], "firing");
        tick(looma, 600).await;
        assert_eq!(only(looma).await["status"], "firing");
        sample(looma, "ai-1", 1.0).await;
        tick(looma, 10).await;
        assert_eq!(only(looma).await["resolve_reason"], "normal");
    }

    /// An evaluation that could not be written down is no evaluation: the next run brings what it would have brought.
    async fn an_evaluation_that_was_not_written_comes_again(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        let id = rule(looma, "cpu high", json!({"interval_seconds": 3600})).await;
        breaks(looma, true).await;
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 1).await;
        assert!(alerts(looma, "").await.is_empty());
        let shown = looma.admin().await.get(&format!("/alert-rules/{id}")).await.expect(200);
        assert!(shown["last_error"].as_str().is_some_and(|error| error.contains("write down")), "{shown}");
        breaks(looma, false).await;
        tick(looma, 1).await;
        assert_eq!(only(looma).await["status"], "firing");
        let shown = looma.admin().await.get(&format!("/alert-rules/{id}")).await.expect(200);
        assert_eq!(shown["last_error"], Value::Null, "{shown}");
    }

    /// Switching a rule off, and deleting it, ends its alerts and says so.
    async fn alerts_end_with_their_rule(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        let admin = looma.admin().await;
        let first = rule(looma, "first", json!({})).await;
        let second = rule(looma, "second", json!({})).await;
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 10).await;
        admin.patch(&format!("/alert-rules/{first}"), &json!({"enabled": false})).await.expect(200);
        admin.delete(&format!("/alert-rules/{second}")).await.expect(204);
        tick(looma, 1).await;
        assert_eq!(alerts(looma, &format!("rule_id={first}")).await[0]["resolve_reason"], "rule disabled");
        assert_eq!(alerts(looma, &format!("rule_id={second}")).await[0]["resolve_reason"], "rule deleted");
    }

    /// Somebody takes care of an alert, and ends it; if the breach goes on, another begins.
    async fn alerts_are_acknowledged_and_ended_by_hand(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        let admin = looma.admin().await;
        rule(looma, "cpu high", json!({})).await;
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 10).await;
        let id = only(looma).await["id"].as_str().unwrap().to_owned();
        let alert = admin.post(&format!("/alerts/{id}/acknowledge"), &json!({})).await.expect(200);
        assert_eq!(alert["acknowledged_by"], "admin");
        tick(looma, 10).await;
        assert_eq!(admin.get(&format!("/alerts/{id}")).await.expect(200)["acknowledged_by"], "admin");
        let alert = admin.post(&format!("/alerts/{id}/resolve"), &json!({})).await.expect(200);
        assert_eq!((&alert["status"], &alert["resolve_reason"]), (&json!("resolved"), &json!("manual")));
        admin.post(&format!("/alerts/{id}/resolve"), &json!({})).await.expect(409);
        admin.post("/alerts/nothing/resolve", &json!({})).await.expect(404);
        tick(looma, 10).await;
        assert_eq!(alerts(looma, "status=firing").await.len(), 1);
        assert_eq!(alerts(looma, "").await.len(), 2);
    }

    /// A dry run says what would be, and records nothing.
    async fn a_dry_run_records_nothing(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        let id = rule(looma, "cpu high", json!({"enabled": false})).await;
        sample(looma, "ai-1", 95.0).await;
        sample(looma, "ai-2", 5.0).await;
        let tested = looma.admin().await.post(&format!("/alert-rules/{id}/test"), &json!({})).await.expect(200);
        assert_eq!((&tested["series"], &tested["breaches"]), (&json!(2), &json!(1)), "{tested}");
        assert_eq!((&tested["items"][0]["service_id"], &tested["items"][0]["severity"]), (&json!("ai-1"), &json!("critical")));
        assert!(alerts(looma, "").await.is_empty());
    }

    /// A message that cannot be filled in becomes a plain one, and the rule says why.
    async fn a_message_that_cannot_be_filled_in_is_plain(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        let id = rule(looma, "cpu high", json!({"message": "{{ labels.rack }}"})).await;
        sample(looma, "ai-1", 95.0).await;
        tick(looma, 10).await;
        assert_eq!(only(looma).await["message"], "cpu high: cpu_usage of ai-1 is 95%");
        let shown = looma.admin().await.get(&format!("/alert-rules/{id}")).await.expect(200);
        assert!(shown["last_error"].as_str().unwrap().contains("message"), "{shown}");
    }

    /// A rule of a service type watches services of that type alone.
    async fn rules_watch_their_service_type(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        for (id, of) in [("ai-1", "ai-service"), ("db-1", "database")] {
            let service = json!({"service_id": id, "service_name": id, "service_type": of, "service_url": "http://10.0.0.7:8002"});
            looma.admin().await.post("/services", &service).await.expect(201);
            sample(looma, id, 95.0).await;
        }
        rule(looma, "cpu high", json!({"service_type": "ai-service"})).await;
        tick(looma, 10).await;
        let alert = only(looma).await;
        assert_eq!((&alert["service_id"], &alert["service_name"]), (&json!("ai-1"), &json!("ai-1")));
    }

    /// A page of alerts goes on where the one before ended.
    async fn alerts_are_paged_newest_first(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        rule(looma, "cpu high", json!({})).await;
        for n in 0..5 {
            sample(looma, &format!("ai-{n}"), 95.0).await;
            tick(looma, 10).await;
        }
        let mut seen = Vec::new();
        let mut after = String::new();
        loop {
            let page = looma.admin().await.get(&format!("/alerts?limit=2{after}")).await.expect(200);
            seen.extend(page["items"].as_array().unwrap().iter().map(|alert| alert["service_id"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(seen, ["ai-4", "ai-3", "ai-2", "ai-1", "ai-0"]);
    }
}

/// What was pending before a restart fires after it, at the time at which it would have.
async fn pending_survives(store: Store) {
    let looma = TestServer::start(store).await;
    looma.load_plugins(&["threshold"]).await;
    rule(&looma, "cpu high", json!({"for_seconds": 60})).await;
    sample(&looma, "ai-1", 95.0).await;
    tick(&looma, 10).await;
    let before = only(&looma).await;
    assert_eq!(before["status"], "pending");
    let looma = looma.restart().await;
    looma.run_task("plugins.scan").await;
    tick(&looma, 50).await;
    assert_eq!(only(&looma).await["status"], "pending");
    tick(&looma, 10).await;
    let after = only(&looma).await;
    assert_eq!((&after["status"], &after["id"]), (&json!("firing"), &before["id"]));
    looma.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_survives_a_restart_on_sqlite() {
    pending_survives(Store::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_survives_a_restart_on_postgres() {
    if let Some(store) = Store::postgres().await {
        pending_survives(store).await;
    }
}
