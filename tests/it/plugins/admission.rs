//! `/plugins/{name}/admission`: why a plugin was taken or not.

use looma_tests::{
    both_databases,
    plugins::{component, evaluator, renewed},
};
use serde_json::{Value, json};

fn import<'a>(report: &'a Value, interface: &str) -> &'a Value {
    let imports = report["imports"].as_array().unwrap();
    imports.iter().find(|import| import["interface"].as_str().unwrap().starts_with(interface)).unwrap()
}

fn failed(report: &Value) -> Option<&Value> {
    report["findings"].as_array().unwrap().iter().find(|finding| finding["outcome"] == "failed")
}

both_databases! {
    /// The report of what serves holds imports against grants, and says sizes, limits, compile time and digest.
    async fn imports_are_held_against_grants(looma: TestServer) {
        looma.load_plugins(&["webhook"]).await;
        let (admin, viewer) = (looma.admin().await, looma.viewer().await);
        let report = viewer.get("/plugins/webhook/admission").await.expect(200);
        assert_eq!((&report["admitted"], &report["serving"], &report["kind"]), (&json!(true), &json!(true), &json!("notifier")));
        assert_eq!(report["digest"], viewer.get("/plugins/webhook").await.expect(200)["digest"]);
        assert_eq!(report["size_bytes"], component("webhook").len());
        assert!(report["compile_ms"].as_u64().is_some() && report["compiled_bytes"].as_u64().unwrap() > 0, "{report}");
        let http = import(&report, "looma:host/http");
        assert_eq!(http["allowance"], "not granted", "{report}");
        assert!(http["todo"].as_str().unwrap().contains("PUT /api/v1/plugins/NAME/grants"), "{http}");
        let grants = json!({"http": ["https://hooks.example.com"], "deadline_ms": 250, "memory_bytes": 2_097_152});
        admin.put("/plugins/webhook/grants", &grants).await.expect(200);
        let report = viewer.get("/plugins/webhook/admission").await.expect(200);
        let http = import(&report, "looma:host/http");
        assert_eq!((&http["allowance"], &http["todo"]), (&json!("granted"), &json!(null)));
        assert!(http["says"].as_str().unwrap().contains("hooks.example.com"), "{http}");
        assert_eq!((&report["limits"]["deadline_ms"], &report["limits"]["memory_bytes"]), (&json!(250), &json!(2_097_152)));
    }

    /// The report of a file in the folder that was not taken says why and what to do; the version before has its own.
    async fn a_refused_file_has_a_report(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        let admin = looma.admin().await;
        let good = admin.get("/plugins/threshold").await.expect(200)["digest"].as_str().unwrap().to_owned();
        let file = looma.app().settings.plugins_dir().join("threshold.wasm");
        for (bytes, step) in [
            (component("log"), "kind"),
            (b"garbage".to_vec(), "file"),
            (evaluator("other", "unreachable", "unreachable"), "probe"),
        ] {
            std::fs::write(&file, &bytes).unwrap();
            looma.run_task("plugins.scan").await;
            let report = admin.get("/plugins/threshold/admission").await.expect(200);
            assert_eq!((&report["admitted"], &report["serving"]), (&json!(false), &json!(false)), "{report}");
            let finding = failed(&report).unwrap();
            assert_eq!(finding["step"], step, "{report}");
            assert!(!finding["todo"].is_null(), "{report}");
            // The report and the state of the plugin give the same reason.
            let error = admin.get("/plugins/threshold").await.expect(200)["error"].as_str().unwrap().to_owned();
            assert!(error.starts_with(finding["says"].as_str().unwrap()), "{error}: {report}");
            let report = admin.get(&format!("/plugins/threshold/admission?digest={good}")).await.expect(200);
            assert_eq!((&report["admitted"], &report["serving"], &report["digest"]), (&json!(true), &json!(true), &json!(good)));
        }
        admin.get(&format!("/plugins/threshold/admission?digest={}", "0".repeat(64))).await.expect(404);
        admin.get("/plugins/nobody/admission").await.expect(404);
    }

    /// A version before has a report too, and does not serve.
    async fn versions_before_have_reports(looma: TestServer) {
        let admin = looma.admin().await;
        let bring = async |bytes: Vec<u8>| admin.post_bytes("/plugins", "application/wasm", bytes).await.expect(201);
        let first = bring(component("threshold")).await["digest"].as_str().unwrap().to_owned();
        bring(renewed(component("threshold"), "second")).await;
        let report = admin.get(&format!("/plugins/threshold/admission?digest={first}")).await.expect(200);
        assert_eq!((&report["admitted"], &report["serving"], failed(&report)), (&json!(true), &json!(false), None));
    }
}
