//! What is counted of plugins, as `/metrics` shows it, and what they may have all together.

use std::collections::BTreeSet;

use looma::plugins::CallError;
use looma_tests::{
    Store, TestServer, both_databases, eventually,
    plugins::{component, evaluator, renewed},
};
use serde_json::json;

use super::{bring, evaluate};

const NOTHING: &str = "(i32.const 1024)";
const SPIN: &str = "(loop $l (br $l)) unreachable";

async fn metrics(looma: &TestServer) -> String {
    String::from_utf8(looma.admin().await.get("/metrics-text").await.bytes).unwrap()
}

/// The value of the one line that begins so.
fn value(metrics: &str, line: &str) -> Option<f64> {
    let found: Vec<_> = metrics.lines().filter_map(|found| found.strip_prefix(line)?.strip_prefix(' ')).collect();
    assert!(found.len() <= 1, "{line} stands there {} times", found.len());
    found.first().map(|value| value.parse().unwrap())
}

both_databases! {
    /// Calls are counted by version, function and outcome, with how long they ran and waited; loads and swaps by plugin.
    async fn calls_are_counted_by_version_and_function(looma: TestServer) {
        let digest = bring(looma, component("threshold")).await;
        for _ in 0..3 {
            evaluate(looma, "threshold").await.unwrap();
        }
        let newer = bring(looma, renewed(component("threshold"), "newer")).await;
        evaluate(looma, "threshold").await.unwrap();
        let crashes = bring(looma, evaluator("crashes", NOTHING, "unreachable")).await;
        evaluate(looma, "crashes").await.unwrap_err();
        let text = metrics(looma).await;
        for (plugin, digest, outcome, count) in
            [("threshold", &digest, "ok", 3.0), ("threshold", &newer, "ok", 1.0), ("crashes", &crashes, "trap", 1.0)]
        {
            let labels = format!("plugin=\"{plugin}\",digest=\"{digest}\",function=\"evaluate\"");
            let total = format!("looma_plugin_calls_total{{{labels},outcome=\"{outcome}\"}}");
            assert_eq!(value(&text, &total), Some(count), "{total}\n{text}");
            for family in ["looma_plugin_call_seconds", "looma_plugin_queue_seconds"] {
                assert_eq!(value(&text, &format!("{family}_count{{{labels}}}")), Some(count));
                assert_eq!(value(&text, &format!("{family}_bucket{{{labels},le=\"+Inf\"}}")), Some(count));
            }
        }
        let newest = format!("plugin=\"threshold\",digest=\"{newer}\"");
        assert!(value(&text, &format!("looma_plugin_memory_peak_bytes{{{newest}}}")) >= Some(65_536.0));
        assert_eq!(value(&text, &format!("looma_plugin_instances{{{newest}}}")), Some(1.0));
        let before = format!("looma_plugin_instances{{plugin=\"threshold\",digest=\"{digest}\"}}");
        assert_eq!(value(&text, &before), Some(0.0), "a version that does not serve keeps no instance");
        assert_eq!(value(&text, "looma_plugin_swaps_total{plugin=\"threshold\"}"), Some(2.0));
        assert!(value(&text, "looma_plugin_load_seconds{plugin=\"threshold\"}") > Some(0.0));
        assert!(value(&text, "looma_plugin_memory_bytes") >= Some(65_536.0));
        let families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(families.len(), families.iter().collect::<BTreeSet<_>>().len(), "each family stands together");
    }

    /// A call that nobody waits for any more is counted as such; its instance is gone when it is interrupted.
    async fn call_whose_caller_is_gone_is_given_up(looma: TestServer) {
        let admin = looma.admin().await;
        admin.put("/plugins/spins/grants", &json!({"deadline_ms": 1000})).await.expect(200);
        let digest = bring(looma, evaluator("spins", NOTHING, SPIN)).await;
        let version = format!("plugin=\"spins\",digest=\"{digest}\"");
        let instances = format!("looma_plugin_instances{{{version}}}");
        tokio::select! {
            answer = evaluate(looma, "spins") => panic!("it was waited for: {answer:?}"),
            () = eventually("instance that runs", async || (value(&metrics(looma).await, &instances) == Some(1.0)).then_some(())) => {}
        }
        let abandoned = format!("looma_plugin_calls_total{{{version},function=\"evaluate\",outcome=\"abandoned\"}}");
        assert_eq!(value(&metrics(looma).await, &abandoned), Some(1.0));
        eventually("end of the instance", async || (value(&metrics(looma).await, &instances) == Some(0.0)).then_some(())).await;
        let plugin = admin.get("/plugins/spins").await.expect(200);
        assert_eq!(plugin["failures"], 0, "{plugin}");
    }
}

/// All instances together have so much memory; that there is none left is no fault of a plugin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_plugins_together_have_so_much_memory() {
    let store = Store::sqlite();
    let mut settings = store.settings();
    settings.plugins.total_memory_bytes = 128 << 10;
    let looma = TestServer::start_with(store, settings).await;
    // It has one page of memory, and a Rust component begins with seventeen.
    bring(&looma, evaluator("small", NOTHING, NOTHING)).await;
    assert!(matches!(evaluate(&looma, "small").await, Err(CallError::Contract(_))));
    let refused = looma.admin().await.post_bytes("/plugins", "application/wasm", component("threshold")).await;
    refused.expect(503);
    let grow = "(drop (memory.grow (i32.const 100))) unreachable";
    bring(&looma, evaluator("eats", NOTHING, grow)).await;
    for _ in 0..7 {
        assert_eq!(evaluate(&looma, "eats").await, Err(CallError::Busy));
    }
    assert_eq!(looma.admin().await.get("/plugins/eats").await.expect(200)["state"], "active");
    looma.stop().await;
}
