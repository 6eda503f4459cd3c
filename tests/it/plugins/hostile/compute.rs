//! Guests that compute without end, crash, or recurse.

use super::*;

/// Whatever runs without end is interrupted; whatever crashes is thrown away, with the reason. No call of a neighbour suffers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_and_crashing_guests_fail_alone() {
    let host = Host::start().await;
    host.hold(&[
        ("spin", Told::Timeout),
        ("spin-in-realloc", Told::Timeout),
        ("spin-after-evaluate", Told::Timeout),
        ("spin-after-discover", Told::Timeout),
        ("fill-memory", Told::Timeout),
        ("tail-calls", Told::Timeout),
        ("recurse", Told::Limit("it recursed too deeply")),
        ("recurse-and-log", Told::Limit("it recursed too deeply")),
        ("unreachable", Told::Crash("wasm `unreachable` instruction executed")),
        ("panic", Told::Crash("it printed: panicked at plugin.rs:7: index out of bounds [31m")),
        ("print-much", Told::Crash("xxxxxxthe end")),
        ("exit", Told::Crash("Exited with i32 exit status 0")),
        ("divide-by-zero", Told::Crash("wasm trap: integer divide by zero")),
        ("read-past-memory", Told::Crash("wasm trap: out of bounds memory access")),
        ("call-other-type", Told::Crash("wasm trap: indirect call type mismatch")),
        ("call-nothing", Told::Crash("wasm trap: uninitialized element")),
    ])
    .await;
    host.stop().await;
}

/// What a guest printed is kept in part, and without what could steer a terminal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn printed_words_are_bounded_and_plain() {
    let host = Host::start().await;
    for path in CallPath::ALL {
        for guest in ["panic", "print-much"] {
            let name = format!("{guest}-{}", path.as_str());
            host.bring(&name, Guest::read(guest).component(path, &name)).await;
            let answer = host.misdeed(&name, path).await.expect(422);
            let detail = message(&answer);
            assert!(detail.len() < 1_500 && !detail.contains(char::is_control), "{detail:?}");
        }
    }
    host.stop().await;
}

/// While guests run round in circles on every thread that they may have, their neighbours are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_are_served_while_others_spin() {
    let host = Host::start().await;
    for path in CallPath::ALL {
        let name = format!("spin-{}", path.as_str());
        host.grant(&name, json!({"deadline_ms": 5000})).await;
        host.bring(&name, Guest::read("spin").component(path, &name)).await;
    }
    let spins = async {
        tokio::join!(
            host.misdeed("spin-pure", CallPath::Pure),
            host.misdeed("spin-pure", CallPath::Pure),
            host.misdeed("spin-io", CallPath::Io),
        )
    };
    let neighbours = async {
        for _ in 0..20 {
            assert_eq!(host.neighbours_harmed().await, None);
        }
    };
    {
        let (mut spins, neighbours) = (std::pin::pin!(spins), std::pin::pin!(neighbours));
        tokio::select! {
            biased;
            () = neighbours => {}
            _ = &mut spins => panic!("twenty calls took longer than five seconds of spinning"),
        }
        let (one, two, three) = spins.await;
        for answer in [one, two, three] {
            assert_eq!(Told::Timeout.differs(&answer), None);
        }
    }
    host.assert_well("spin-pure", CallPath::Pure).await;
    host.assert_well("spin-io", CallPath::Io).await;
    host.stop().await;
}
