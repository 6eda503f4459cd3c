//! Guests that misuse what the host and WASI offer them.

use looma_tests::Process;

use super::*;

/// What is handed to the host is checked as what is handed back; nobody calls the host while it is writing to them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_calls_of_the_host_fail_alone() {
    let host = Host::start().await;
    host.hold(&[
        ("realloc-calls-host", Told::Crash("cannot leave component instance")),
        ("log-past-memory", Told::Crash("string pointer/length out of bounds of memory")),
        ("log-wrong-level", Told::Crash("unexpected discriminant: 99")),
        ("log-without-end", Told::Crash("list pointer/length out of bounds of memory")),
        ("flood-log", Told::Fine),
        ("much-randomness", Told::Crash("requested len 2147483648 exceeds limit 65536")),
    ])
    .await;
    host.stop().await;
}

/// A guest that asks the host without end is stopped by the number of its calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_asking_is_stopped() {
    let host = Host::start().await;
    for (guest, path) in
        [("spin-and-log", CallPath::Pure), ("spin-and-log", CallPath::Io), ("spin-and-ask", CallPath::Io)]
    {
        let name = format!("{guest}-{}", path.as_str());
        host.grant(&name, json!({"deadline_ms": 60_000, "kv_bytes": 1000})).await;
        host.bring(&name, Guest::read(guest).component(path, &name)).await;
        let asked = host.misdeed(&name, path).await;
        assert_eq!(Told::Limit("it asked the host too often in one call").differs(&asked), None);
        host.grant(&name, json!({})).await;
        host.assert_well(&name, path).await;
    }
    host.stop().await;
}

/// There is nothing to see and nowhere to go: no environment, arguments, folder or file, no socket, no name that resolves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wasi_has_nothing_to_offer() {
    let host = Host::start().await;
    host.hold(&[
        ("look-around", Told::Says("0000000000000000")),
        ("open-socket", Told::Says("0000000000000002")),
        ("resolve-name", Told::Says("0000000000000015")),
    ])
    .await;
    host.stop().await;
}

/// A guest that only computes must not wait at all, and one that may is given up at its deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sleepers_are_given_up() {
    let host = Host::start().await;
    let waits = Told::Crash("waits, and a plugin of this kind must not");
    for (path, told) in [(CallPath::Pure, waits), (CallPath::Io, Told::Timeout)] {
        assert_eq!(host.try_case(&("sleep", told), path).await, Vec::<String>::new());
        let refused = host.upload(component("sleep-at-start", path)).await.expect(422);
        let detail = message(&refused);
        let words = match path {
            CallPath::Pure => "it does not say who it is: the plugin crashed: subscribe-duration waits",
            CallPath::Io => "it does not say who it is: the plugin did not answer within its deadline",
        };
        assert!(detail.contains(words), "{detail}");
    }
    host.stop().await;
}

/// A guest that only computes cannot tell two calls apart by clocks or randomness; one that may wait can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pure_guests_sense_nothing() {
    let host = Host::start().await;
    for (path, different) in [(CallPath::Pure, 1), (CallPath::Io, 4)] {
        let name = format!("tell-the-time-{}", path.as_str());
        host.bring(&name, Guest::read("tell-the-time").component(path, &name)).await;
        let mut told = std::collections::BTreeSet::new();
        for _ in 0..4 {
            told.insert(message(&host.misdeed(&name, path).await.expect(422)).to_owned());
            // Whatever it draws on in between makes no difference to the next call.
            assert_eq!(host.not_well(&name, path).await, None);
        }
        assert_eq!(told.len(), different, "{told:?}");
    }
    host.stop().await;
}

/// A plugin's lines are its own, bounded in number and length, and one line each whatever is in them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_plugins_cannot_be_forged() {
    let store = Store::sqlite();
    let process = Process::start(env!("CARGO_BIN_EXE_looma").as_ref(), &["serve"], &store);
    let admin = process.admin().await;
    for guest in ["log-wildly", "flood-log"] {
        admin.post_bytes("/plugins", "application/wasm", component(guest, CallPath::Pure)).await.expect(201);
        let trial = json!({"config": {"misdeed": true}, "input": input(CallPath::Pure)});
        admin.post(&format!("/plugins/{guest}/run"), &trial).await.expect(200);
    }
    assert_eq!(process.terminate(), Some(0));
    let log = std::fs::read_to_string(store.dir().join("log")).unwrap();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let of = |name: &str| lines.iter().filter(|line| line["plugin.name"] == name).collect::<Vec<_>>();
    assert!(of("victim").is_empty(), "{log}");
    let wild: Vec<_> = of("log-wildly").into_iter().filter(|line| line["level"] == "ERROR").collect();
    let messages: Vec<&str> = wild.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert_eq!(messages[0], "a".repeat(2_000));
    assert!(messages[1].starts_with("forged") && !messages[1].contains(char::is_control), "{:?}", messages[1]);
    assert_eq!(wild[2]["plugin.fields"], "plugin.name=\"victim\"");
    let flood = of("flood-log");
    assert_eq!(flood.iter().filter(|line| line["message"] == "flood").count(), 100);
    assert_eq!(flood.iter().filter(|line| line["message"].as_str().unwrap().contains("logs too much")).count(), 1);
}
