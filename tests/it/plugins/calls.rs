//! Calls: what a misbehaving plugin does to itself, and what it must not do to others.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use looma::plugins::{CallError, EvalContext, PluginName, SeriesBatch};
use looma_tests::{
    TestServer, both_databases,
    plugins::{component, evaluator, renewed},
};
use serde_json::json;

use super::bring;

/// The result of a plan or an evaluation whose tag says that it went well, with nothing in it.
const NOTHING: &str = "(i32.const 1024)";

fn batch(series: u64) -> Arc<SeriesBatch> {
    let count = usize::try_from(series).unwrap();
    let offsets = (0..=u32::try_from(series).unwrap()).collect();
    let (times, values) = (vec![0; count], vec![95.0; count]);
    Arc::new(SeriesBatch { ids: (0..series).collect(), offsets, times, values, labels: Vec::new() })
}

async fn evaluate(looma: &TestServer, plugin: &str) -> Result<Vec<u8>, CallError> {
    let config = json!({"comparison_operator": ">", "threshold_value": 90}).to_string();
    let context = EvalContext { now_ms: 0, interval_ms: 1_000, config };
    let plugin: PluginName = plugin.parse().unwrap();
    let done = looma.app().plugins.evaluate(&plugin, context, batch(3), None).await;
    done.map(|evaluated| evaluated.verdicts.levels)
}

both_databases! {
    /// A guest that spins, crashes, recurses, eats memory or lies fails alone, with the reason; its neighbour serves.
    async fn misbehaving_guests_fail_alone(looma: TestServer) {
        let admin = looma.admin().await;
        bring(looma, component("threshold")).await;
        let grow = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
        for (name, evaluate_as) in [
            ("spins", "(loop $l (br $l)) unreachable"),
            ("crashes", "unreachable"),
            ("eats", grow),
            ("lies", NOTHING),
            ("points-nowhere", "(i32.const 2147483640)"),
        ] {
            admin.put(&format!("/plugins/{name}/grants"), &json!({"deadline_ms": 1000, "memory_bytes": 4_194_304})).await.expect(200);
            bring(looma, evaluator(name, NOTHING, evaluate_as)).await;
            let failed = evaluate(looma, name).await.unwrap_err();
            let expected = match name {
                "spins" => failed == CallError::Timeout,
                "eats" => matches!(&failed, CallError::Limit(why) if why.contains("memory")),
                "lies" => matches!(&failed, CallError::Contract(why) if why.contains("0 levels")),
                _ => matches!(failed, CallError::Trap(_)),
            };
            assert!(expected, "{name}: {failed:?}");
            assert_eq!(evaluate(looma, "threshold").await.unwrap(), [1, 1, 1], "after {name}");
        }
        let spins = admin.get("/plugins/spins").await.expect(200);
        assert_eq!((&spins["calls"], &spins["failures"]), (&json!(1), &json!(1)));
    }

    /// A plugin that fails again and again rests, and an operator can let it try at once.
    async fn failing_plugin_is_quarantined(looma: TestServer) {
        bring(looma, evaluator("crashes", NOTHING, "unreachable")).await;
        for _ in 0..5 {
            evaluate(looma, "crashes").await.unwrap_err();
        }
        let admin = looma.admin().await;
        let plugin = admin.get("/plugins/crashes").await.expect(200);
        assert_eq!(plugin["state"], "quarantined", "{plugin}");
        assert!(matches!(evaluate(looma, "crashes").await, Err(CallError::NotServing { .. })));
        assert_eq!(admin.post("/plugins/crashes/enable", &json!({})).await.expect(200)["state"], "active");
        assert!(matches!(evaluate(looma, "crashes").await, Err(CallError::Trap(_))));
    }

    /// A version that fails right after it came in is rolled back by itself, on disk too.
    async fn failing_version_is_rolled_back(looma: TestServer) {
        bring(looma, evaluator("judge", NOTHING, "(loop $l (br_if $l (i32.const 0))) (i32.const 1024)")).await;
        let good = looma.admin().await.get("/plugins/judge").await.expect(200)["digest"].clone();
        looma.advance(std::time::Duration::from_secs(1));
        bring(looma, evaluator("judge", NOTHING, "unreachable")).await;
        looma.advance(std::time::Duration::from_secs(1));
        for _ in 0..5 {
            evaluate(looma, "judge").await.unwrap_err();
        }
        let plugin = looma.admin().await.get("/plugins/judge").await.expect(200);
        assert_eq!((&plugin["digest"], &plugin["state"]), (&good, &json!("failed")), "{plugin}");
        assert!(plugin["error"].as_str().unwrap().contains("rolled back"), "{plugin}");
        looma_tests::eventually("record of the rollback", async || {
            let versions = looma.admin().await.get("/plugins/judge/versions").await.expect(200);
            (versions["items"][0]["digest"] == good).then_some(())
        })
        .await;
    }

    /// No call is lost while versions are swapped under load, and each is answered by one version or the other.
    async fn swaps_lose_no_call(looma: TestServer) {
        bring(looma, component("threshold")).await;
        let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        let calls = async {
            while !stop.load(Ordering::Relaxed) {
                let (one, other) = tokio::join!(evaluate(looma, "threshold"), evaluate(looma, "threshold"));
                assert_eq!((one.unwrap(), other.unwrap()), (vec![1, 1, 1], vec![1, 1, 1]));
                answered.fetch_add(2, Ordering::Relaxed);
            }
        };
        let swaps = async {
            for round in 0..6 {
                bring(looma, renewed(component("threshold"), &format!("round {round}"))).await;
            }
            stop.store(true, Ordering::Relaxed);
        };
        tokio::join!(calls, swaps);
        assert!(answered.load(Ordering::Relaxed) > 0);
    }
}
