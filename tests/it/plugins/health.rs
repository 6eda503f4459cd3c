//! Health: what is held against a plugin, what clears it, and what becomes of one that fails again and again.

use std::{sync::Arc, time::Duration};

use looma::plugins::{CallError, Notification, PluginName, Status};
use looma_tests::{
    both_databases, eventually,
    plugins::{evaluator, guest},
};
use serde_json::{Value, json};

use super::{bring, evaluate};
use crate::alerts;

/// A result that went well, with nothing in it.
const NOTHING: &str = "(i32.const 1024)";

/// A notifier that shows what it would send, and crashes when it is to send it.
fn notifier(name: &str) -> Vec<u8> {
    let functions = r#"
        (func (export "looma:notify/notifier@0.1.0#deliver") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
        (func (export "looma:notify/notifier@0.1.0#preview") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 1024))"#;
    guest(name, "export looma:notify/notifier@0.1.0;", "", functions)
}

both_databases! {
    /// That one function of a plugin answers does not clear another's faults, and its rest is its own.
    async fn success_of_one_function_clears_no_faults_of_another(looma: TestServer) {
        bring(looma, notifier("half")).await;
        let plugins = &looma.app().plugins;
        let name: PluginName = "half".parse().unwrap();
        let notification = || Arc::new(Notification {
            id: "n".to_owned(), attempt: 1, status: Status::Firing, title: "t".to_owned(), group: Vec::new(), alerts: Vec::new(),
        });
        for _ in 0..5 {
            assert_eq!(plugins.preview(&name, "{}", notification()).await.unwrap(), "");
            assert!(matches!(plugins.deliver(&name, "{}", notification()).await, Err(CallError::Trap(_))));
        }
        let plugin = looma.admin().await.get("/plugins/half").await.expect(200);
        assert_eq!(plugin["state"], "quarantined", "{plugin}");
        assert!(plugin["error"].as_str().unwrap().contains("deliver"), "{plugin}");
        assert!(matches!(plugins.deliver(&name, "{}", notification()).await, Err(CallError::NotServing { .. })));
        assert_eq!(plugins.preview(&name, "{}", notification()).await.unwrap(), "");
        let plugin = looma.admin().await.get("/plugins/half").await.expect(200);
        assert_eq!(plugin["state"], "quarantined", "{plugin}");
    }

    /// What an operator tries is not held against a plugin, and goes through while it rests.
    async fn trials_are_not_held_against_a_plugin(looma: TestServer) {
        bring(looma, evaluator("crashes", NOTHING, "unreachable")).await;
        let admin = looma.admin().await;
        let trial = json!({"input": {"series": [{"points": [["2026-01-01T00:00:00Z", 1.0]]}]}});
        for _ in 0..7 {
            let told = admin.post("/plugins/crashes/run", &trial).await.expect(422);
            assert!(told["errors"][0]["message"].as_str().unwrap().contains("crashed"), "{told}");
        }
        let plugin = admin.get("/plugins/crashes").await.expect(200);
        assert_eq!((&plugin["state"], &plugin["failures"]), (&json!("active"), &json!(0)), "{plugin}");
        for _ in 0..5 {
            evaluate(looma, "crashes").await.unwrap_err();
        }
        assert_eq!(admin.get("/plugins/crashes").await.expect(200)["state"], "quarantined");
        admin.post("/plugins/crashes/run", &trial).await.expect(422);
    }

    /// A plugin that rests is tried again after pauses that grow, by one call each.
    async fn resting_plugin_is_tried_after_growing_pauses(looma: TestServer) {
        bring(looma, evaluator("crashes", NOTHING, "unreachable")).await;
        for _ in 0..5 {
            evaluate(looma, "crashes").await.unwrap_err();
        }
        for pause in [30, 60, 120] {
            looma.advance(Duration::from_secs(pause - 1));
            assert!(matches!(evaluate(looma, "crashes").await, Err(CallError::NotServing { .. })), "before {pause} s");
            looma.advance(Duration::from_secs(1));
            assert!(matches!(evaluate(looma, "crashes").await, Err(CallError::Trap(_))), "after {pause} s");
            assert!(matches!(evaluate(looma, "crashes").await, Err(CallError::NotServing { .. })), "a second one");
        }
    }

    /// Operators are told of a quarantine: in the audit, to watchers, and in the metrics.
    async fn quarantine_is_told(looma: TestServer) {
        bring(looma, evaluator("crashes", NOTHING, "unreachable")).await;
        for _ in 0..5 {
            evaluate(looma, "crashes").await.unwrap_err();
        }
        let admin = looma.admin().await;
        let entry = eventually("entry in the audit", async || {
            let page = admin.get("/audit-logs?resource_type=plugins&action=quarantine").await.expect(200);
            page["items"].get(0).cloned()
        })
        .await;
        assert_eq!((&entry["actor"], &entry["resource_id"]), (&json!("system:plugins"), &json!("crashes")));
        assert!(entry["after"]["error"].as_str().unwrap().contains("5 times in a row"), "{entry}");
        let text = String::from_utf8(admin.get("/metrics-text").await.bytes).unwrap();
        assert!(text.contains("looma_plugin_state{plugin=\"crashes\",state=\"quarantined\"} 1"), "{text}");
        assert!(text.contains("looma_plugin_quarantines_total{plugin=\"crashes\"} 1"), "{text}");
        admin.post("/plugins/crashes/enable", &json!({})).await.expect(200);
        let text = String::from_utf8(admin.get("/metrics-text").await.bytes).unwrap();
        assert!(text.contains("looma_plugin_state{plugin=\"crashes\",state=\"quarantined\"} 0"), "{text}");
    }

    /// A quarantine is an alert, whichever plugin it is of, until it ends.
    async fn quarantine_is_an_alert(looma: TestServer) {
        bring(looma, evaluator("crashes", NOTHING, "unreachable")).await;
        let alerts = async |status: &str| {
            alerts::tick(looma, 5).await;
            alerts::alerts(looma, &format!("status={status}")).await
        };
        assert_eq!(alerts("firing").await, Vec::<Value>::new());
        for _ in 0..5 {
            evaluate(looma, "crashes").await.unwrap_err();
        }
        let alert = eventually("alert", async || alerts("firing").await.first().cloned()).await;
        assert_eq!((&alert["rule_name"], &alert["alert_level"]), (&json!("a plugin is quarantined"), &json!("critical")));
        assert_eq!((&alert["labels"]["plugin"], &alert["plugin"]["name"]), (&json!("crashes"), &json!("host")));
        let message = alert["message"].as_str().unwrap();
        assert!(message.starts_with("plugin crashes is quarantined: ") && message.contains("5 times in a row"), "{alert}");
        looma.admin().await.post("/plugins/crashes/enable", &json!({})).await.expect(200);
        let over = eventually("end of the alert", async || alerts("resolved").await.first().cloned()).await;
        assert_eq!((&over["id"], &over["resolve_reason"]), (&alert["id"], &json!("normal")));
    }

    /// A rule of the host watches what the host knows, and nothing else.
    async fn rules_of_the_host_are_checked(looma: TestServer) {
        let admin = looma.admin().await;
        let rule = json!({"rule_name": "r", "metric_name": "cpu", "evaluator": "host", "severity": "info", "service_type": "t", "config": {"x": 1}});
        let told = admin.post("/alert-rules", &rule).await.expect(422);
        let pointers: Vec<&str> = told["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
        assert_eq!(pointers, ["/metric_name", "/service_type", "/config"], "{told}");
        let rule = json!({"rule_name": "r", "metric_name": "registry_protected", "evaluator": "host", "severity": "info"});
        let rule = admin.post("/alert-rules", &rule).await.expect(201);
        let tested = admin.post(&format!("/alert-rules/{}/test", rule["rule_id"].as_str().unwrap()), &json!({})).await.expect(200);
        assert_eq!((&tested["series"], &tested["items"][0]["verdict"]), (&json!(1), &json!("normal")), "{tested}");
    }
}
