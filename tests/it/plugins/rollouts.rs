//! New versions come in step by step: beside the one that serves, with a share of the keys, guarded; and are taken back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use looma::plugins::{CallError, EvalContext, Judged, Judging, SeriesBatch};
use looma_tests::{
    Client, Store, TestServer, both_databases, eventually,
    plugins::{Counter, component, renewed},
};
use serde_json::{Value, json};

const NAME: &str = "judge";

async fn bring(looma: &TestServer, component: Vec<u8>) -> Value {
    looma.advance(Duration::from_secs(1));
    looma.admin().await.post_bytes("/plugins", "application/wasm", component).await.expect(201)
}

async fn shown(looma: &TestServer) -> Value {
    looma.admin().await.get(&format!("/plugins/{NAME}")).await.expect(200)
}

async fn policy(looma: &TestServer, policy: Value) {
    looma.admin().await.put(&format!("/plugins/{NAME}/rollout"), &policy).await.expect(200);
}

/// One live evaluation of so many series.
async fn judge(looma: &TestServer, series: u64) -> Result<Judged, CallError> {
    let count = usize::try_from(series).unwrap();
    let offsets = (0..=u32::try_from(series).unwrap()).collect();
    let (times, values) = (vec![0; count], vec![95.0; count]);
    let batch = Arc::new(SeriesBatch { ids: (0..series).collect(), offsets, times, values, labels: Vec::new() });
    let context = EvalContext { now_ms: 0, interval_ms: 1_000, config: "{}".to_owned() };
    let judging = Judging { rule: "r", context, batch, remembered: None, keep: None };
    looma.app().plugins.judge(&NAME.parse().unwrap(), &judging).await
}

/// So many live evaluations, each of which must be answered by a version that says `level` of each series.
async fn judge_often(looma: &TestServer, times: usize, level: u8) {
    for _ in 0..times {
        assert_eq!(judge(looma, 3).await.unwrap().levels, [level; 3]);
    }
}

/// What is seen of the version on its way, once so many calls were compared.
async fn compared(looma: &TestServer, calls: u64) -> Value {
    let admin = looma.admin().await;
    eventually("calls beside live ones", async || {
        let seen = admin.get(&format!("/plugins/{NAME}/shadow")).await.expect(200);
        (seen["calls"].as_u64() >= Some(calls)).then_some(seen)
    })
    .await
}

/// Judges until so many calls were compared: on a machine that is busy some are left out, and made up for.
async fn judge_beside(looma: &TestServer, calls: u64) {
    let admin = looma.admin().await;
    let count = |seen: &Value, what: &str| seen[what].as_u64().unwrap();
    loop {
        let before = admin.get(&format!("/plugins/{NAME}/shadow")).await.expect(200);
        let missing = calls.saturating_sub(count(&before, "calls"));
        if missing == 0 {
            return;
        }
        judge_often(looma, usize::try_from(missing).unwrap(), 0).await;
        let all = count(&before, "calls") + count(&before, "skipped") + missing;
        eventually("calls beside live ones", async || {
            let seen = admin.get(&format!("/plugins/{NAME}/shadow")).await.expect(200);
            (count(&seen, "calls") + count(&seen, "skipped") >= all).then_some(())
        })
        .await;
    }
}

async fn history(looma: &TestServer) -> Vec<Value> {
    let page = looma.admin().await.get(&format!("/plugins/{NAME}/history")).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

async fn actions(looma: &TestServer) -> Vec<String> {
    history(looma).await.iter().map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
}

fn says(level: u8) -> Vec<u8> {
    Counter { level, ..Counter::default() }.component(NAME)
}

fn fails(how: &'static str) -> Vec<u8> {
    Counter { first: how, ..Counter::default() }.component(NAME)
}

/// About twenty milliseconds or more.
const SLOWLY: &str = "(local.set $n (i32.const 60000000)) (loop $spin \
    (br_if $spin (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))";
/// Refuses any input.
const REFUSES: &str = "(i32.store8 (i32.const 2048) (i32.const 1)) (i32.store8 (i32.const 2052) (i32.const 1)) \
    (i32.store (i32.const 2056) (i32.const 1500)) (i32.store (i32.const 2060) (i32.const 0)) (return (i32.const 2048))";

both_databases! {
    /// A version that says something else is seen to by its differences, harms no live answer, and is not promoted by itself.
    async fn differences_keep_a_version_out(looma: TestServer) {
        let old = bring(looma, says(0)).await;
        policy(looma, json!({"shadow": {"calls": 20}, "promote": "automatic"})).await;
        let came = bring(looma, says(1)).await;
        assert_eq!((&came["digest"], &came["rollout"]["stage"]), (&old["digest"], &json!("shadow")), "{came}");
        judge_often(looma, 25, 0).await;
        let seen = compared(looma, 20).await;
        assert_eq!((&seen["calls"], &seen["differing"], &seen["serving_wavers"]), (&json!(20), &json!(20), &json!(0)), "{seen}");
        let first = &seen["differences"][0];
        assert_eq!((&first["key"], &first["what"]), (&json!("r/0"), &json!("level")));
        assert_eq!((&first["serving"], &first["candidate"]), (&json!("0"), &json!("1")));
        looma.run_task("plugins.rollout").await;
        looma.advance(Duration::from_secs(600));
        looma.run_task("plugins.rollout").await;
        let plugin = shown(looma).await;
        assert_eq!((&plugin["digest"], &plugin["rollout"]["stage"]), (&old["digest"], &json!("shadow")));
        assert!(plugin["rollout"]["reason"].as_str().unwrap().contains("20 of 20 calls differ"), "{plugin}");
        let by_hand = looma.admin().await.post(&format!("/plugins/{NAME}/promote"), &json!({"reason": "it is right"})).await;
        assert_eq!(by_hand.expect(200)["rollout"]["stage"], "guard");
        judge_often(looma, 1, 1).await;
        let last = &history(looma).await[0];
        assert_eq!((&last["action"], &last["reason"]), (&json!("promoted"), &json!("it is right")));
        assert!(last["actor"].as_str().unwrap().starts_with("user:"), "{last}");
    }

    /// A version that says the same comes into service by itself, is guarded, and proves itself.
    async fn the_same_is_promoted_by_itself(looma: TestServer) {
        let old = bring(looma, says(0)).await;
        policy(looma, json!({"shadow": {"calls": 10}, "promote": "automatic", "guard_seconds": 60, "max_latency_ratio": 1000})).await;
        let new = renewed(says(0), "again");
        bring(looma, new).await;
        judge_often(looma, 9, 0).await;
        compared(looma, 9).await;
        looma.run_task("plugins.rollout").await;
        assert_eq!(shown(looma).await["rollout"]["stage"], "shadow", "nine calls are not ten");
        judge_often(looma, 1, 0).await;
        compared(looma, 10).await;
        looma.run_task("plugins.rollout").await;
        let plugin = shown(looma).await;
        assert_eq!(plugin["rollout"]["stage"], "guard", "{plugin}");
        assert_ne!(plugin["digest"], old["digest"]);
        assert_eq!(plugin["previous"][0]["digest"], old["digest"]);
        looma.advance(Duration::from_secs(59));
        looma.run_task("plugins.rollout").await;
        assert_eq!(shown(looma).await["rollout"]["stage"], "guard");
        looma.advance(Duration::from_secs(1));
        looma.run_task("plugins.rollout").await;
        assert_eq!(shown(looma).await["rollout"]["stage"], "done");
        assert_eq!(actions(looma).await, ["proved", "promoted", "shadow", "loaded"]);
        let audit = looma.admin().await.get(&format!("/audit-logs?resource_type=plugins&resource_id={NAME}&action=promoted")).await;
        assert_eq!(audit.expect(200)["items"][0]["actor"], "system:plugins.rollout");
    }

    /// A version that takes many times as long is not promoted by itself, and slows no live answer.
    async fn slow_versions_stay_out(looma: TestServer) {
        bring(looma, says(0)).await;
        policy(looma, json!({"shadow": {"calls": 5}, "promote": "automatic"})).await;
        bring(looma, fails(SLOWLY)).await;
        judge_often(looma, 6, 0).await;
        let seen = compared(looma, 5).await;
        assert!(seen["shadow"]["latency_ratio"].as_f64().unwrap() > 5.0, "{seen}");
        looma.run_task("plugins.rollout").await;
        let plugin = shown(looma).await;
        assert_eq!(plugin["rollout"]["stage"], "shadow");
        assert!(plugin["rollout"]["reason"].as_str().unwrap().contains("times as long"), "{plugin}");
    }

    /// The failures of a version that runs beside are counted by kind, and are nobody else's.
    async fn failures_beside_harm_nobody(looma: TestServer) {
        let old = bring(looma, says(0)).await;
        policy(looma, json!({"shadow": {"calls": 10}, "promote": "automatic"})).await;
        bring(looma, fails("unreachable")).await;
        judge_often(looma, 10, 0).await;
        let seen = compared(looma, 10).await;
        assert_eq!((&seen["shadow"]["candidate"]["errors"], &seen["differing"]), (&json!({"trap": 10}), &json!(0)));
        looma.run_task("plugins.rollout").await;
        let plugin = shown(looma).await;
        assert_eq!((&plugin["state"], &plugin["failures"], &plugin["digest"]), (&json!("active"), &json!(0), &old["digest"]));
        assert!(plugin["rollout"]["reason"].as_str().unwrap().contains("10 of 10 calls failed"), "{plugin}");
    }

    /// A series that a new version judges stays with it, while the share grows too; the others stay with the old one.
    async fn a_series_never_flips(looma: TestServer) {
        bring(looma, says(0)).await;
        policy(looma, json!({"canary_percent": 30})).await;
        bring(looma, says(1)).await;
        let new_ones = async || -> Vec<usize> {
            let judged = judge(looma, 64).await.unwrap();
            let new = judged.levels.iter().enumerate().filter(|(_, level)| **level == 1).map(|(n, _)| n).collect::<Vec<_>>();
            let digests: Vec<_> = judged.by.iter().map(|by| by.as_ref().unwrap().digest.clone()).collect();
            assert!(judged.levels.iter().zip(&digests).all(|(level, digest)| (*level == 1) == (*digest == digests[new[0]])));
            new
        };
        let first = new_ones().await;
        assert!((8..32).contains(&first.len()), "{first:?}");
        for _ in 0..5 {
            assert_eq!(new_ones().await, first);
        }
        policy(looma, json!({"canary_percent": 70})).await;
        let more = new_ones().await;
        assert!(more.len() > first.len() && first.iter().all(|n| more.contains(n)), "{first:?} {more:?}");
    }

    /// A version that crashes for its share is cut off and given up; every live answer is given by the one that serves.
    async fn crashes_of_a_share_are_answered_by_the_other(looma: TestServer) {
        let old = bring(looma, says(0)).await;
        policy(looma, json!({"canary_percent": 100})).await;
        bring(looma, fails("unreachable")).await;
        for _ in 0..7 {
            let judged = judge(looma, 3).await.unwrap();
            assert_eq!(judged.levels, [0; 3]);
            assert!(judged.by.iter().all(|by| by.as_ref().unwrap().digest == old["digest"].as_str().unwrap()));
        }
        looma.run_task("plugins.rollout").await;
        let plugin = shown(looma).await;
        assert_eq!((&plugin["state"], &plugin["rollout"]["stage"]), (&json!("active"), &json!("aborted")), "{plugin}");
        assert!(plugin["rollout"]["reason"].as_str().unwrap().contains("5 times in a row"), "{plugin}");
        assert_eq!(actions(looma).await[0], "aborted");
    }

    /// A share that goes well for long enough is promoted by itself.
    async fn a_good_share_is_promoted(looma: TestServer) {
        bring(looma, says(0)).await;
        policy(looma, json!({"canary_percent": 50, "canary_seconds": 60, "promote": "automatic", "max_latency_ratio": 1000})).await;
        let new = bring(looma, renewed(says(0), "again")).await["rollout"]["candidate"]["digest"].clone();
        for _ in 0..12 {
            judge(looma, 64).await.unwrap();
        }
        looma.advance(Duration::from_secs(59));
        looma.run_task("plugins.rollout").await;
        assert_eq!(shown(looma).await["rollout"]["stage"], "canary");
        looma.advance(Duration::from_secs(1));
        looma.run_task("plugins.rollout").await;
        let plugin = shown(looma).await;
        assert_eq!((&plugin["digest"], &plugin["rollout"]["stage"]), (&new, &json!("guard")), "{plugin}");
    }

    /// A version that fails more often than the one before is taken back by itself, with the reason in history and audit.
    async fn the_guard_takes_back_what_fails(looma: TestServer) {
        let old = bring(looma, says(0)).await;
        judge_often(looma, 10, 0).await;
        let new = bring(looma, fails(REFUSES)).await;
        assert_eq!(new["rollout"]["stage"], "guard", "{new}");
        for _ in 0..10 {
            assert!(matches!(judge(looma, 3).await, Err(CallError::InvalidInput(_))));
        }
        looma.run_task("plugins.rollout").await;
        let plugin = shown(looma).await;
        assert_eq!((&plugin["digest"], &plugin["rollout"]["stage"]), (&old["digest"], &json!("rolled-back")), "{plugin}");
        judge_often(looma, 1, 0).await;
        let last = &history(looma).await[0];
        assert_eq!((&last["action"], &last["actor"]), (&json!("rolled-back"), &json!("system:plugins.rollout")));
        assert_eq!((&last["from_digest"], &last["to_digest"]), (&new["digest"], &old["digest"]));
        assert!(last["reason"].as_str().unwrap().contains("10 of 10 calls failed"), "{last}");
        let audit = looma.admin().await.get(&format!("/audit-logs?resource_type=plugins&resource_id={NAME}&action=rolled-back")).await;
        assert_eq!(audit.expect(200)["items"][0]["after"]["reason"], last["reason"]);
    }

    /// So is one that takes many times as long.
    async fn the_guard_takes_back_what_is_slow(looma: TestServer) {
        let old = bring(looma, says(0)).await;
        judge_often(looma, 20, 0).await;
        bring(looma, fails(SLOWLY)).await;
        judge_often(looma, 20, 0).await;
        looma.run_task("plugins.rollout").await;
        let plugin = shown(looma).await;
        assert_eq!((&plugin["digest"], &plugin["rollout"]["stage"]), (&old["digest"], &json!("rolled-back")), "{plugin}");
        assert!(plugin["rollout"]["reason"].as_str().unwrap().contains("times as long"), "{plugin}");
    }

    /// What failed once it was guarded no more rests, and brings nothing back by itself.
    async fn after_the_guard_failures_are_its_own(looma: TestServer) {
        bring(looma, says(0)).await;
        let new = bring(looma, fails("unreachable")).await;
        looma.advance(Duration::from_secs(301));
        looma.run_task("plugins.rollout").await;
        for _ in 0..5 {
            judge(looma, 3).await.unwrap_err();
        }
        let plugin = shown(looma).await;
        assert_eq!((&plugin["digest"], &plugin["state"]), (&new["digest"], &json!("quarantined")), "{plugin}");
        eventually("entry of the history", async || {
            (actions(looma).await[0] == "quarantined").then_some(())
        }).await;
    }

    /// A version on its way makes room for a newer one, can be given up by hand, and is not passed over by a rollback.
    async fn one_version_is_on_its_way_at_a_time(looma: TestServer) {
        bring(looma, says(0)).await;
        let old = bring(looma, renewed(says(0), "second")).await;
        policy(looma, json!({"canary_percent": 10})).await;
        let first = bring(looma, renewed(says(0), "third")).await["rollout"]["candidate"]["digest"].clone();
        let again = looma.admin().await.post_bytes("/plugins", "application/wasm", renewed(says(0), "third")).await;
        assert_eq!(again.expect(200)["rollout"]["candidate"]["digest"], first);
        let second = bring(looma, renewed(says(0), "fourth")).await["rollout"]["candidate"]["digest"].clone();
        assert_ne!(first, second);
        let admin = looma.admin().await;
        let refused = admin.post(&format!("/plugins/{NAME}/rollback"), &json!({})).await.expect(409);
        assert!(refused["detail"].as_str().unwrap().contains("abort it first"), "{refused}");
        admin.delete(&format!("/plugins/{NAME}/rollout")).await.expect(409);
        let aborted = admin.post(&format!("/plugins/{NAME}/abort"), &json!({"reason": "not today"})).await.expect(200);
        assert_eq!((&aborted["digest"], &aborted["rollout"]["stage"]), (&old["digest"], &json!("aborted")));
        admin.post(&format!("/plugins/{NAME}/abort"), &json!({})).await.expect(409);
        admin.post(&format!("/plugins/{NAME}/promote"), &json!({})).await.expect(409);
        admin.delete(&format!("/plugins/{NAME}/rollout")).await.expect(204);
        let history = history(looma).await;
        let told: Vec<_> = history.iter().map(|entry| (entry["action"].as_str().unwrap(), &entry["to_digest"])).collect();
        let before = ("loaded", &old["digest"]);
        assert_eq!(told[..5], [("aborted", &second), ("canary", &second), ("aborted", &first), ("canary", &first), before]);
        assert_eq!(history[0]["reason"], "not today");
        let page = admin.get(&format!("/plugins/{NAME}/history?limit=2")).await.expect(200);
        let next = page["next"].as_str().unwrap();
        let next = admin.get(&format!("/plugins/{NAME}/history?limit=2&after={next}")).await.expect(200);
        assert_eq!(next["items"][0]["to_digest"], first);
        admin.post(&format!("/plugins/{NAME}/rollback"), &json!({})).await.expect(200);
    }

    /// The policy is a resource as others are, and says in words what cannot be.
    async fn the_policy_is_a_resource(looma: TestServer) {
        let admin = looma.admin().await;
        admin.put("/plugins/judge/rollout", &json!({})).await.expect(404);
        bring(looma, says(0)).await;
        bring(looma, component("log")).await;
        admin.get("/plugins/judge/rollout").await.expect(404);
        let wrong = admin.put("/plugins/log/rollout", &json!({"shadow": {"calls": 10}, "canary_percent": 101})).await;
        assert_eq!(wrong.pointers(), ["/canary_percent", "/shadow"]);
        assert!(wrong.expect(422)["errors"][1]["message"].as_str().unwrap().contains("act twice"));
        admin.put("/plugins/log/rollout", &json!({"canary_percent": 10})).await.expect(200);
        let set = looma.operator().await.put("/plugins/judge/rollout", &json!({"shadow": {"calls": 10}})).await.expect(200);
        assert_eq!((&set["promote"], &set["shadow"]["calls"]), (&json!("manual"), &json!(10)));
        let read = looma.viewer().await.get("/plugins/judge/rollout").await;
        let tag = read.header("etag").unwrap().to_owned();
        assert_eq!(read.expect(200), set);
        looma.viewer().await.put("/plugins/judge/rollout", &json!({})).await.expect(403);
        admin.put("/plugins/judge/rollout", &json!({"canary_percent": 5})).await.expect(200);
        let late = admin.request(reqwest::Method::PUT, "/plugins/judge/rollout").header("if-match", tag);
        assert_eq!(late.json(&json!({})).send().await.unwrap().status(), 412);
        let audit = admin.get("/audit-logs?resource_type=plugin-rollouts&resource_id=judge").await.expect(200);
        assert_eq!(audit["items"].as_array().unwrap().len(), 2);
    }

    /// Steps under load lose no call.
    async fn steps_under_load_lose_no_call(looma: TestServer) {
        bring(looma, says(0)).await;
        policy(looma, json!({"canary_percent": 50})).await;
        let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        let calls = async {
            while !stop.load(Ordering::Relaxed) {
                let (one, other) = tokio::join!(judge(looma, 8), judge(looma, 8));
                assert_eq!((one.unwrap().levels, other.unwrap().levels), (vec![0; 8], vec![0; 8]));
                answered.fetch_add(2, Ordering::Relaxed);
            }
        };
        let steps = async {
            let admin: &Client = looma.admin().await;
            for round in 0..4 {
                bring(looma, renewed(says(0), &format!("round {round}"))).await;
                admin.post(&format!("/plugins/{NAME}/promote"), &json!({})).await.expect(200);
                looma.run_task("plugins.rollout").await;
            }
            admin.post(&format!("/plugins/{NAME}/rollback"), &json!({})).await.expect(200);
            stop.store(true, Ordering::Relaxed);
        };
        tokio::join!(calls, steps);
        assert!(answered.load(Ordering::Relaxed) > 0);
    }
}

/// A restart goes on where a version stood, with what was seen before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on() {
    let looma = TestServer::start(Store::sqlite()).await;
    bring(&looma, says(0)).await;
    policy(&looma, json!({"shadow": {"calls": 20}, "promote": "automatic", "max_latency_ratio": 1000})).await;
    let new = bring(&looma, renewed(says(0), "again")).await["rollout"]["candidate"]["digest"].clone();
    judge_beside(&looma, 10).await;
    looma.run_task("plugins.rollout").await;
    let looma = looma.restart().await;
    assert_eq!(shown(&looma).await["rollout"]["stage"], "shadow");
    assert_eq!(compared(&looma, 10).await["calls"], 10);
    judge_beside(&looma, 20).await;
    looma.run_task("plugins.rollout").await;
    assert_eq!(shown(&looma).await["rollout"]["stage"], "guard");
    let looma = looma.restart().await;
    let plugin = shown(&looma).await;
    assert_eq!((&plugin["digest"], &plugin["rollout"]["stage"]), (&new, &json!("guard")));
    looma.stop().await;
}

/// A version that was given up stays out of the folder it lies in, after a restart too, until its file changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_up_stays_out() {
    let looma = TestServer::start(Store::sqlite()).await;
    let file = |looma: &TestServer| looma.app().settings.plugins_dir().join(format!("{NAME}.wasm"));
    std::fs::write(file(&looma), says(0)).unwrap();
    looma.run_task("plugins.scan").await;
    policy(&looma, json!({"canary_percent": 10})).await;
    std::fs::write(file(&looma), says(1)).unwrap();
    looma.run_task("plugins.scan").await;
    assert_eq!(shown(&looma).await["rollout"]["stage"], "canary");
    let looma = looma.restart().await;
    assert_eq!(shown(&looma).await["rollout"]["stage"], "canary");
    looma.admin().await.post(&format!("/plugins/{NAME}/abort"), &json!({})).await.expect(200);
    let looma = looma.restart().await;
    let plugin = shown(&looma).await;
    assert_eq!((&plugin["state"], &plugin["rollout"]["stage"]), (&json!("failed"), &json!("aborted")), "{plugin}");
    std::fs::write(file(&looma), says(2)).unwrap();
    looma.run_task("plugins.scan").await;
    assert_eq!(shown(&looma).await["rollout"]["stage"], "canary");
    looma.stop().await;
}

/// Every replica holds the version on its way, gives it the same share, and swaps with the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_go_together() {
    let Some(store) = Store::postgres().await else { return };
    let one = TestServer::start(store.clone()).await;
    let other = TestServer::start(store).await;
    bring(&one, says(0)).await;
    policy(&one, json!({"canary_percent": 50})).await;
    let new = bring(&one, says(1)).await["rollout"]["candidate"]["digest"].clone();
    let share = judge(&one, 64).await.unwrap().levels;
    eventually("the same share on the other replica", async || {
        other.run_task("feed.follow").await;
        (judge(&other, 64).await.is_ok_and(|judged| judged.levels == share)).then_some(())
    })
    .await;
    one.run_task("plugins.rollout").await;
    other.run_task("plugins.rollout").await;
    let seen = one.admin().await.get(&format!("/plugins/{NAME}/shadow")).await.expect(200);
    assert!(seen["canary"]["candidate"]["calls"].as_u64() >= Some(2), "{seen}");
    one.admin().await.post(&format!("/plugins/{NAME}/promote"), &json!({})).await.expect(200);
    other.run_task("feed.follow").await;
    assert_eq!(shown(&other).await["digest"], new);
    judge_often(&other, 1, 1).await;
    other.stop().await;
    one.stop().await;
}
