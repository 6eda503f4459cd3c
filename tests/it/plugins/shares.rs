//! Shares: what one plugin takes, and what is left for its neighbours.

use std::sync::Arc;

use futures_util::future::join_all;
use looma::plugins::{CallError, EvalContext, Notification, PluginName, SeriesBatch, Status};
use looma_tests::{
    Store, TestServer, eventually,
    guests::{CallPath, Guest},
    plugins::{component, evaluator, guest, renewed},
};
use serde_json::json;

use super::{bring, evaluate};

/// The result of a plan that asks for nothing.
const NOTHING: &str = "(i32.const 1024)";
const SPIN: &str = "(loop $l (br $l)) unreachable";

/// A server with four threads for pure plugins, a good plugin, and others that spin for as long as they may.
async fn server(spinners: &[&str], deadline_ms: u64) -> TestServer {
    let store = Store::sqlite();
    let mut settings = store.settings();
    settings.plugins.threads = Some(4);
    let looma = TestServer::start_with(store, settings).await;
    bring(&looma, component("threshold")).await;
    for name in spinners {
        let grants = json!({"deadline_ms": deadline_ms});
        looma.admin().await.put(&format!("/plugins/{name}/grants"), &grants).await.expect(200);
        bring(&looma, evaluator(name, NOTHING, SPIN)).await;
    }
    looma
}

/// While plugins spin on as many threads as each gets, and more of their calls wait, another's calls are answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_goes_on_while_others_spin() {
    let looma = server(&["spins-a", "spins-b", "spins-c"], 2_000).await;
    let spinning = ["spins-a", "spins-b", "spins-c"].map(|name| join_all((0..3).map(|_| evaluate(&looma, name))));
    let neighbour = async {
        for _ in 0..20 {
            assert_eq!(evaluate(&looma, "threshold").await.unwrap(), [1]);
        }
    };
    tokio::select! {
        // They are asked first, so that every thread they can get is theirs before the neighbour comes.
        biased;
        _ = futures_util::future::select_all(spinning) => panic!("the neighbour waited until others had spun"),
        () = neighbour => {}
    }
    looma.stop().await;
}

/// More calls than may wait for one plugin are told so at once, and that is held against nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_calls_are_refused_at_once_and_are_no_strike() {
    let looma = server(&["spins"], 300).await;
    let answers = join_all((0..400).map(|_| evaluate(&looma, "spins"))).await;
    let busy = answers.iter().filter(|answer| **answer == Err(CallError::Busy)).count();
    let timeouts = answers.iter().filter(|answer| **answer == Err(CallError::Timeout)).count();
    assert!(busy >= 400 - 2 - 256, "{busy} of 400 were told that it is busy");
    let plugin = looma.admin().await.get("/plugins/spins").await.expect(200);
    assert_eq!(plugin["failures"], json!(timeouts), "a call that did not come to run is no failure: {plugin}");
    looma.stop().await;
}

/// Spins, and is honest, in turn: so it is not laid to rest.
async fn spin_on_and_off(looma: &TestServer, plugin: &PluginName) {
    loop {
        for config in [r#"{"misdeed": true}"#, "{}"] {
            let context = EvalContext { now_ms: 0, interval_ms: 1_000, config: config.to_owned() };
            let batch = Arc::new(SeriesBatch {
                ids: Vec::new(),
                offsets: vec![0],
                times: Vec::new(),
                values: Vec::new(),
                labels: Vec::new(),
            });
            // What comes of it is not what is asked here.
            let _ = looma.app().plugins.evaluate(plugin, context, batch, None).await;
        }
    }
}

/// New versions come into service, the last of which puts an end to the spinning, while the one before has all the threads that its
/// name may have, and more of its calls wait than will be reached in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_mends_a_plugin_does_not_wait_for_it() {
    let looma = server(&[], 0).await;
    let name: PluginName = "spins".parse().unwrap();
    looma.admin().await.put("/plugins/spins/grants", &json!({"deadline_ms": 500})).await.expect(200);
    let spins = Guest::read("spin").component(CallPath::Pure, "spins");
    bring(&looma, spins.clone()).await;
    let mend = async {
        for n in 0..5 {
            bring(&looma, renewed(spins.clone(), &n.to_string())).await;
        }
        bring(&looma, evaluator("spins", NOTHING, NOTHING)).await;
    };
    tokio::select! {
        biased;
        _ = join_all((0..16).map(|_| spin_on_and_off(&looma, &name))) => unreachable!("it goes on for ever"),
        () = mend => {}
    }
    looma.stop().await;
}

/// The instances of a plugin, by what is counted.
async fn instances(looma: &TestServer, plugin: &str) -> f64 {
    let text = String::from_utf8(looma.admin().await.get("/metrics-text").await.bytes).unwrap();
    let line = format!("looma_plugin_instances{{plugin=\"{plugin}\",");
    let found = text.lines().filter(|found| found.starts_with(&line));
    found.map(|found| found.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// Other grants while calls run give a plugin no second share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_grants_give_no_second_share() {
    let looma = server(&["spins"], 3_000).await;
    let calls = join_all((0..6).map(|_| evaluate(&looma, "spins")));
    let grant = async {
        eventually("both instances", async || (instances(&looma, "spins").await == 2.0).then_some(())).await;
        let grants = json!({"deadline_ms": 2_999});
        looma.admin().await.put("/plugins/spins/grants", &grants).await.expect(200);
        let more = join_all((0..6).map(|_| evaluate(&looma, "spins")));
        let counted = async {
            for _ in 0..20 {
                assert_eq!(instances(&looma, "spins").await, 2.0);
            }
        };
        tokio::select! {
            biased;
            _ = more => panic!("they ended before they could be counted"),
            () = counted => {}
        }
    };
    tokio::select! {
        biased;
        _ = calls => panic!("they ended before they could be counted"),
        () = grant => {}
    }
    looma.stop().await;
}

/// A notifier that spins when it is to deliver, and shows what it would send.
fn notifier(name: &str) -> Vec<u8> {
    let params = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)";
    let functions = format!(
        r#"(func (export "looma:notify/notifier@0.1.0#deliver") {params} (result i32) {SPIN})
           (func (export "looma:notify/notifier@0.1.0#preview") {params} (result i32) {NOTHING})"#
    );
    guest(name, "export looma:notify/notifier@0.1.0;", "", &functions)
}

/// While plugins with input and output spin, as many instances as each may have, another's calls and requests are answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spinning_notifiers_hold_up_neither_others_nor_the_server() {
    let looma = server(&[], 0).await;
    let names = ["spins-a", "spins-b", "good"].map(|name| name.parse::<PluginName>().unwrap());
    for name in &names {
        let grants = json!({"deadline_ms": 3_000});
        looma.admin().await.put(&format!("/plugins/{name}/grants"), &grants).await.expect(200);
        bring(&looma, notifier(name.as_str())).await;
    }
    let notification = || {
        Arc::new(Notification {
            id: "n".to_owned(),
            attempt: 1,
            status: Status::Firing,
            title: "t".to_owned(),
            group: Vec::new(),
            alerts: Vec::new(),
        })
    };
    let plugins = &looma.app().plugins;
    let spin = |name| join_all((0..32).map(move |_| plugins.deliver(name, "{}", notification())));
    let others = async {
        for _ in 0..5 {
            assert_eq!(plugins.preview(&names[2], "{}", notification()).await.unwrap(), "");
            looma.anonymous().get("/healthz").await.expect(200);
        }
    };
    tokio::select! {
        biased;
        _ = spin(&names[0]) => panic!("it was waited for one that spins"),
        _ = spin(&names[1]) => panic!("it was waited for one that spins"),
        () = others => {}
    }
    looma.stop().await;
}
