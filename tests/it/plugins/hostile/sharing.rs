//! Guests that take more than their share, keep what is not theirs, or outstay their time.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use looma::plugins::{CallError, EvalContext, PluginName, SeriesBatch};
use looma_tests::Process;

use super::*;

/// What an instance remembers reaches no other plugin, and where calls wait, no other call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_nobody_elses() {
    let host = Host::start().await;
    for path in CallPath::ALL {
        let names = ["one", "other"].map(|name| format!("{name}-{}", path.as_str()));
        for name in &names {
            host.bring(name, Guest::read("remember").component(path, name)).await;
        }
        let calls = async |name: &str| {
            let said = message(&host.misdeed(name, path).await.expect(422)).to_owned();
            u64::from_str_radix(&said, 16).unwrap()
        };
        for call in 1..=3 {
            assert_eq!(calls(&names[0]).await, if path == CallPath::Io { 1 } else { call });
        }
        assert_eq!(calls(&names[1]).await, 1, "another plugin's count is not seen");
        // Other grants, other instances: what was remembered under the old ones is gone.
        host.grant(&names[0], json!({"memory_bytes": 8 << 20})).await;
        assert_eq!(calls(&names[0]).await, 1);
    }
    host.stop().await;
}

/// A call that does not end stays with its version: the next version serves at once, and the old one's calls end at their deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_that_does_not_drain_holds_up_nobody() {
    let host = Host::start().await;
    for path in CallPath::ALL {
        let name = format!("judge-{}", path.as_str());
        host.grant(&name, json!({"deadline_ms": 3000})).await;
        host.bring(&name, Guest::read("spin").component(path, &name)).await;
        let old = host.misdeed(&name, path);
        let new = async {
            let newer = host.bring(&name, Guest::read("remember").component(path, &name)).await;
            assert_eq!(host.not_well(&name, path).await, None);
            let said = host.misdeed(&name, path).await;
            assert_eq!(Told::Says("0000000000000001").differs(&said), None);
            newer["digest"].clone()
        };
        let (old, newer) = tokio::join!(old, new);
        // Either it began before the swap and was interrupted, or it came after it.
        let late = Told::Timeout.differs(&old).is_none() || Told::Says("000000000000000").differs(&old).is_none();
        assert!(late, "{}", old.json);
        let plugin = host.looma.admin().await.get(&format!("/plugins/{name}")).await.expect(200);
        assert_eq!(
            (&plugin["digest"], &plugin["state"]),
            (&newer, &json!("active")),
            "what the old one did is not held against it"
        );
        host.assert_well(&name, path).await;
    }
    host.stop().await;
}

/// Hundreds of calls to a plugin that hangs: some run, some wait, the rest are told so at once; nobody else is refused anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crowd_before_one_plugin_is_its_own() {
    let host = Host::start().await;
    host.grant("spin", json!({"deadline_ms": 300})).await;
    host.bring_guest("spin", CallPath::Pure).await;
    let spin: PluginName = "spin".parse().unwrap();
    let call = || {
        let context = EvalContext { now_ms: 0, interval_ms: 1_000, config: "{\"misdeed\":true}".to_owned() };
        let batch =
            SeriesBatch { ids: vec![1], offsets: vec![0, 1], times: vec![0], values: vec![1.0], labels: Vec::new() };
        host.looma.app().plugins.evaluate(&spin, context, batch.into(), None)
    };
    let crowd = join_all((0..600).map(|_| call()));
    let others = async {
        for _ in 0..10 {
            assert_eq!(host.neighbours_harmed().await, None);
        }
    };
    let (answers, ()) = tokio::join!(crowd, others);
    let mut busy = 0;
    for answer in answers {
        match answer.unwrap_err() {
            CallError::Busy => busy += 1,
            CallError::Timeout | CallError::NotServing { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(busy > 100, "{busy} of 600 were told that too many wait");
    host.looma.admin().await.post("/plugins/spin/enable", &json!({})).await.expect(200);
    host.assert_well("spin", CallPath::Pure).await;
    host.stop().await;
}

/// Callers that go away in the middle of a call leave nothing behind: the next call is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_leave_nothing_behind() {
    let host = Host::start().await;
    for path in CallPath::ALL {
        let name = format!("spin-{}", path.as_str());
        host.bring(&name, Guest::read("spin").component(path, &name)).await;
        for _ in 0..12 {
            let gone = tokio::time::timeout(Duration::from_millis(30), host.misdeed(&name, path));
            assert!(gone.await.is_err());
        }
        let answered = eventually("honest answer", async || host.not_well(&name, path).await.is_none().then_some(()));
        tokio::join!(answered, async { assert_eq!(host.neighbours_harmed().await, None) });
    }
    host.stop().await;
}

/// A process that stood still for longer than the deadline does not hold that against the calls that were under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_that_stood_still_counts_against_nobody() {
    let store = Store::sqlite();
    let process = Process::start(env!("CARGO_BIN_EXE_looma").as_ref(), &["serve"], &store);
    let admin = process.admin().await;
    let grants = json!({"deadline_ms": 3000});
    admin.put("/plugins/work/grants", &grants).await.expect(200);
    admin.post_bytes("/plugins", "application/wasm", component("work", CallPath::Pure)).await.expect(201);
    let trial = json!({"config": {"misdeed": true}, "input": input(CallPath::Pure)});
    let stop = async {
        pass(Duration::from_millis(50)).await;
        process.pause();
        pass(Duration::from_millis(3500)).await;
        process.resume();
    };
    let (answer, ()) = tokio::join!(admin.post("/plugins/work/run", &trial), stop);
    assert_eq!(answer.expect(200)["verdicts"][0]["score"], 95.0);
    assert_eq!(process.terminate(), Some(0));
}

/// Waits until real time has passed: a process that is stopped tells nothing that could be waited for.
async fn pass(time: Duration) {
    let began = Instant::now();
    eventually("time", async || (began.elapsed() >= time).then_some(())).await;
}
