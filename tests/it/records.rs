//! `/alert-rules/{id}/records`, and running other versions on what was kept.

use looma_tests::{
    TestServer, both_databases, eventually,
    kit::plugin,
    plugins::{component, evaluator, renewed},
};
use serde_json::{Value, json};

use crate::alerts::{rule, sample, tick};

/// The records of a rule, latest first, once there are so many.
async fn records(looma: &TestServer, rule: &str, count: usize) -> Vec<Value> {
    eventually("records", async || {
        let page = looma.viewer().await.get(&format!("/alert-rules/{rule}/records")).await.expect(200);
        let items = page["items"].as_array().unwrap().clone();
        (items.len() == count).then_some(items)
    })
    .await
}

/// A rule that keeps `record` calls, evaluated on these values one after the other.
async fn recorded(looma: &TestServer, record: i64, values: &[f64]) -> String {
    looma.load_plugins(&["threshold"]).await;
    let rule = rule(looma, "cpu high", json!({"record": record})).await;
    for (n, value) in values.iter().enumerate() {
        sample(looma, "ai-1", *value).await;
        tick(looma, 10).await;
        // In order, however the writer gathers them.
        records(looma, &rule, (n + 1).min(usize::try_from(record).unwrap())).await;
    }
    rule
}

both_databases! {
    /// A rule keeps the latest calls to its evaluator, as many as it asks for; each has what was given and what was said.
    async fn the_latest_calls_are_kept(looma: TestServer) {
        let rule = recorded(looma, 3, &[20.0, 95.0, 33.333_333_333_333_336, 0.1 + 0.2]).await;
        eventually("the latest record", async || {
            let latest = records(looma, &rule, 3).await[0]["record_id"].as_str().unwrap().to_owned();
            let whole = looma.viewer().await.get(&format!("/alert-rules/{rule}/records/{latest}")).await.expect(200);
            (whole["exchange"]["values"] == json!([0.1 + 0.2])).then_some(())
        })
        .await;
        let kept = records(looma, &rule, 3).await;
        let whole = looma.viewer().await.get(&format!("/alert-rules/{rule}/records/{}", kept[2]["record_id"].as_str().unwrap())).await.expect(200);
        let exchange = &whole["exchange"];
        assert_eq!((&exchange["values"], &exchange["series"]), (&json!([95.0]), &json!(["ai-1{zone=a}"])), "{whole}");
        assert_eq!((&exchange["verdicts"]["levels"], &exchange["verdicts"]["scores"]), (&json!([1]), &json!([95.0])));
        assert_eq!((&whole["plugin_name"], &whole["series"], &whole["error"], &whole["skipped"]), (&json!("threshold"), &json!(1), &json!(null), &json!(null)));
        let first = looma.viewer().await.get(&format!("/alert-rules/{rule}/records?limit=2")).await.expect(200);
        let rest = looma.viewer().await.get(&format!("/alert-rules/{rule}/records?limit=2&after={}", first["next"].as_str().unwrap())).await.expect(200);
        assert_eq!((&rest["items"][0], &rest["next"]), (&kept[2], &json!(null)));
    }

    /// Fewer are kept once the rule asks for fewer, and none once it is gone; a rule that asks for none keeps none.
    async fn what_is_not_wanted_any_more_is_forgotten(looma: TestServer) {
        let admin = looma.admin().await;
        let rule = recorded(looma, 3, &[20.0, 30.0, 40.0]).await;
        let latest = records(looma, &rule, 3).await[0].clone();
        admin.patch(&format!("/alert-rules/{rule}"), &json!({"record": 1})).await.expect(200);
        assert_eq!(records(looma, &rule, 1).await, [latest]);
        admin.patch(&format!("/alert-rules/{rule}"), &json!({"record": 0})).await.expect(200);
        records(looma, &rule, 0).await;
        tick(looma, 10).await;
        records(looma, &rule, 0).await;
        admin.delete(&format!("/alert-rules/{rule}")).await.expect(204);
        admin.get(&format!("/alert-rules/{rule}/records")).await.expect(404);
        let refused = admin.post("/alert-rules", &json!({"rule_name": "r", "metric_name": "m", "severity": "info", "comparison_operator": ">", "threshold_value": 1, "record": 1001})).await;
        assert_eq!(refused.pointers(), ["/record"], "{}", refused.json);
    }

    /// The version that serves says the same as it did; with another configuration it says something else, which is told.
    async fn differences_are_told(looma: TestServer) {
        let admin = looma.admin().await;
        let rule = recorded(looma, 10, &[20.0, 85.0, 95.0]).await;
        let run = async |more: Value| {
            let mut asked = json!({"replay": {"rule_id": rule}});
            asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            admin.post("/plugins/threshold/run", &asked).await
        };
        let same = run(json!({})).await.expect(200);
        assert_eq!((&same["records"], &same["same"], &same["differs"]), (&json!(3), &json!(3), &json!(0)), "{same}");
        let config = json!({"comparison_operator": ">", "threshold_value": 80});
        let other = run(json!({"config": config})).await.expect(200);
        assert_eq!((&other["same"], &other["differs"]), (&json!(2), &json!(1)), "{other}");
        let item = other["items"].as_array().unwrap().iter().find(|item| item["outcome"] == "differs").unwrap();
        let difference = &item["differences"][0];
        assert_eq!((&difference["series"], &difference["recorded"]["verdict"], &difference["now"]["verdict"]), (&json!("ai-1{zone=a}"), &json!("normal"), &json!("breach")));
        let faulty = run(json!({"config": {}})).await.expect(200);
        assert_eq!(faulty["failed"], 3, "{faulty}");
        assert!(faulty["items"][0]["says"].as_str().unwrap().contains("configuration is not valid"), "{faulty}");
        assert_eq!(run(json!({"digest": "0".repeat(64)})).await.pointers(), ["/digest"]);
        assert_eq!(run(json!({"replay": {"rule_id": rule, "last": 0}})).await.pointers(), ["/replay/last"]);
        assert_eq!(looma.admin().await.get("/plugins/threshold").await.expect(200)["failures"], 0);
    }

    /// A version that does not serve is run by its digest; what it does wrong is not held against the plugin.
    async fn another_version_is_run_by_its_digest(looma: TestServer) {
        let admin = looma.admin().await;
        let bring = async |bytes: Vec<u8>| admin.post_bytes("/plugins", "application/wasm", bytes).await.expect(201);
        bring(evaluator("judge", "(i32.const 512)", "unreachable")).await;
        let crashes = admin.get("/plugins/judge").await.expect(200)["digest"].clone();
        looma.advance(std::time::Duration::from_secs(1));
        bring(renewed(evaluator("judge", "(i32.const 512)", "unreachable"), "second")).await;
        let rule = rule(looma, "judged", json!({"evaluator": "judge", "record": 5, "comparison_operator": null, "threshold_value": null})).await;
        sample(looma, "ai-1", 1.0).await;
        tick(looma, 10).await;
        let kept = records(looma, &rule, 1).await;
        assert!(kept[0]["error"].as_str().unwrap().contains("crashed"), "{kept:?}");
        let failures = admin.get("/plugins/judge").await.expect(200)["failures"].clone();
        let again = admin.post("/plugins/judge/run", &json!({"replay": {"rule_id": rule}, "digest": crashes})).await.expect(200);
        assert_eq!((&again["same"], &again["plugin"]["digest"]), (&json!(1), &crashes), "{again}");
        assert_eq!(admin.get("/plugins/judge").await.expect(200)["failures"], failures);
    }

    /// A call that is too large is noted and not kept, and its alert is told as ever.
    async fn a_call_that_is_too_large_is_noted(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        let rule = rule(looma, "cpu high", json!({"record": 5})).await;
        let tag = "x".repeat(200);
        let sample = |n: usize| json!({"service_id": format!("{n:0100}"), "metric_name": "cpu_usage", "metric_value": 95, "tags": {"a": tag, "b": tag, "c": tag, "d": tag, "e": tag}});
        for part in 0..2 {
            let samples: Vec<Value> = (part * 500..part * 500 + 500).map(sample).collect();
            looma.admin().await.post("/metrics", &json!({"samples": samples})).await.expect(204);
        }
        tick(looma, 10).await;
        let kept = records(looma, &rule, 1).await;
        assert!(kept[0]["skipped"].as_str().unwrap().contains("at most 1048576 are kept"), "{kept:?}");
        let alerts = looma.admin().await.get("/alerts?status=firing&limit=1000").await.expect(200);
        assert_eq!(alerts["items"].as_array().unwrap().len(), 1000);
        let replayed = looma.admin().await.post("/plugins/threshold/run", &json!({"replay": {"rule_id": rule}})).await.expect(200);
        assert_eq!(replayed["skipped"], 1, "{replayed}");
    }

    /// An author runs a version that no server knows on the records of one, and sees what it says differently.
    async fn an_unreleased_version_is_run_here(looma: TestServer) {
        let rule = recorded(looma, 10, &[20.0, 95.0]).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("next.wasm"), renewed(component("threshold"), "unreleased")).unwrap();
        let (url, token) = (looma.url(), looma.admin().await.token().unwrap().to_owned());
        let run = async |arguments: &[&str]| {
            let at = folder.path().to_owned();
            let own = ["replay"].into_iter().chain(arguments.iter().copied());
            let all: Vec<String> = own.chain(["--server", &url, "--token", &token]).map(str::to_owned).collect();
            let called = move || plugin(&at, &all.iter().map(String::as_str).collect::<Vec<_>>());
            tokio::task::spawn_blocking(called).await.unwrap()
        };
        let same = run(&["next.wasm", "--rule", "cpu high", "--exact"]).await.expect(0);
        assert!(same.contains("on 2 records: 2 the same, 0 differ"), "{same}");
        let config = r#"{"comparison_operator": "<", "threshold_value": 90}"#;
        let differs = run(&["next.wasm", "--rule", &rule, "--config", config]).await.expect(0);
        assert!(differs.contains("ai-1{zone=a}: normal at 20, now breach at 20"), "{differs}");
        let there = run(&["threshold", "--rule", "cpu high", "--config", config, "--exact"]).await;
        assert!(there.out.contains("ai-1{zone=a}: breach at 95, now normal at 95"), "{there:?}");
        there.expect(1);
    }
}
