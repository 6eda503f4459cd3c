//! What acts outside: versions on their way answer for a share of it; and calls on a version that was replaced come to an end.

use std::{sync::Arc, time::Duration};

use looma::plugins::{CallError, EvalContext, Judged, Judging, Notification, SeriesBatch, Status};
use looma_tests::{
    TestServer, both_databases, eventually,
    plugins::{Counter, component, evaluator, guest, renewed},
};
use serde_json::{Value, json};

async fn bring(looma: &TestServer, component: Vec<u8>) -> Value {
    looma.advance(Duration::from_secs(1));
    looma.admin().await.post_bytes("/plugins", "application/wasm", component).await.expect(201)
}

async fn shown(looma: &TestServer, name: &str) -> Value {
    looma.admin().await.get(&format!("/plugins/{name}")).await.expect(200)
}

async fn deliver(looma: &TestServer, service: &str) -> Result<String, CallError> {
    let notification = Notification {
        id: "n1".to_owned(),
        attempt: 1,
        status: Status::Firing,
        title: "cpu high".to_owned(),
        group: vec![("service_id".to_owned(), service.to_owned())],
        alerts: Vec::new(),
    };
    let delivered = looma.app().plugins.deliver(&"log".parse().unwrap(), "{}", Arc::new(notification)).await;
    delivered.map(|delivered| delivered.by.digest)
}

/// A notifier of this name that does `deliver`.
fn notifier(deliver: &str) -> Vec<u8> {
    let items = "import looma:host/log@0.1.0; export looma:notify/notifier@0.1.0;";
    let params = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)";
    let functions = format!(
        r#"(func (export "looma:notify/notifier@0.1.0#deliver") {params} {deliver} unreachable)
           (func (export "looma:notify/notifier@0.1.0#preview") {params} unreachable)"#
    );
    guest("log", items, "", &functions)
}

const JUDGE: &str = "judge";

/// One live evaluation of one series.
async fn judge(looma: &TestServer) -> Result<Judged, CallError> {
    let (ids, offsets, times, values) = (vec![1], vec![0, 1], vec![0], vec![95.0]);
    let batch = Arc::new(SeriesBatch { ids, offsets, times, values, labels: Vec::new() });
    let context = EvalContext { now_ms: 0, interval_ms: 1_000, config: "{}".to_owned() };
    let judging = Judging { rule: "r", context, batch, remembered: None, keep: None };
    looma.app().plugins.judge(&JUDGE.parse().unwrap(), &judging).await
}

both_databases! {
    /// A share of a channel's groups goes through the new version of its notifier, each group always through the same.
    async fn a_share_of_the_groups_is_the_new_notifiers(looma: TestServer) {
        let old = bring(looma, component("log")).await["digest"].clone();
        looma.admin().await.put("/plugins/log/rollout", &json!({"canary_percent": 50})).await.expect(200);
        let new = bring(looma, renewed(component("log"), "newer")).await["rollout"]["candidate"]["digest"].clone();
        let mut by_new = 0;
        for n in 0..20 {
            let service = format!("s-{n}");
            let first = deliver(looma, &service).await.unwrap();
            assert_eq!(deliver(looma, &service).await.unwrap(), first);
            assert!(first == new || first == old);
            by_new += usize::from(first == new);
        }
        assert!((2..=18).contains(&by_new), "{by_new}");
    }

    /// What a new notifier crashes on is delivered by the one that serves, and its group stays there.
    async fn crashes_of_a_notifier_lose_nothing(looma: TestServer) {
        let old = bring(looma, component("log")).await["digest"].clone();
        looma.admin().await.put("/plugins/log/rollout", &json!({"canary_percent": 100})).await.expect(200);
        bring(looma, notifier("")).await;
        for n in 0..6 {
            for _ in 0..2 {
                assert_eq!(deliver(looma, &format!("s-{n}")).await.unwrap(), old);
            }
        }
        let seen = looma.admin().await.get("/plugins/log/shadow").await.expect(200);
        assert_eq!(seen["canary"]["candidate"]["errors"], json!({"trap": 5}), "each group once, and then it was cut off: {seen}");
        looma.run_task("plugins.rollout").await;
        assert_eq!(shown(looma, "log").await["rollout"]["stage"], "aborted");
    }

    /// A notifier that hangs on a version that was replaced is ended as well, and what it was to deliver can be tried again.
    async fn deliveries_on_a_replaced_version_end(looma: TestServer) {
        let admin = looma.admin().await;
        admin.put("/plugins/log/grants", &json!({"deadline_ms": 300_000})).await.expect(200);
        bring(looma, notifier("(loop $l (br $l))")).await;
        let steps = async {
            eventually("delivery on the old version", async || {
                (looma.app().plugins.calls_under_way(&"log".parse().unwrap()) == 1).then_some(())
            })
            .await;
            bring(looma, component("log")).await;
            looma.run_task("plugins.rollout").await;
            looma.advance(Duration::from_secs(30));
            looma.run_task("plugins.rollout").await;
        };
        let (ended, ()) = tokio::join!(deliver(looma, "s"), steps);
        assert!(ended.as_ref().is_err_and(CallError::is_retriable), "{ended:?}");
        deliver(looma, "s").await.unwrap();
    }

    /// A call that never returns on a version that was replaced is shown, and is ended when its time to finish is over.
    async fn calls_on_a_replaced_version_end(looma: TestServer) {
        let admin = looma.admin().await;
        admin.put(&format!("/plugins/{JUDGE}/grants"), &json!({"deadline_ms": 300_000})).await.expect(200);
        let spins = evaluator(JUDGE, "(i32.const 512)", "(loop $l (br $l)) unreachable");
        let old = bring(looma, spins).await;
        let steps = async {
            eventually("call on the old version", async || {
                (looma.app().plugins.calls_under_way(&JUDGE.parse().unwrap()) == 1).then_some(())
            }).await;
            bring(looma, Counter::default().component(JUDGE)).await;
            looma.run_task("plugins.rollout").await;
            let plugin = shown(looma, JUDGE).await;
            assert_eq!((&plugin["draining"][0]["digest"], &plugin["draining"][0]["calls"]), (&old["digest"], &json!(1)), "{plugin}");
            assert_eq!(judge(looma).await.unwrap().levels, [0]);
            looma.advance(Duration::from_secs(29));
            looma.run_task("plugins.rollout").await;
            assert_eq!(shown(looma, JUDGE).await["draining"].as_array().unwrap().len(), 1);
            looma.advance(Duration::from_secs(1));
            looma.run_task("plugins.rollout").await;
        };
        let (ended, ()) = tokio::join!(judge(looma), steps);
        assert!(matches!(&ended, Err(CallError::Trap(why)) if why.contains("its version was replaced")), "{ended:?}");
        looma.run_task("plugins.rollout").await;
        assert_eq!(shown(looma, JUDGE).await["draining"], json!([]));
    }
}
