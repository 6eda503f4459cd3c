//! Components that are made to be compiled for ever, or to take all memory while they are.

use super::*;

/// Compiling is bounded in time and memory, in another process: the plugins that serve are served, and the bomb is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compiling_is_bounded() {
    let host = Host::start_with(|settings| settings.plugins.compile_seconds = 4).await;
    let took = "compiling it took more than it may: 4 seconds of processor time";
    host.refuse(&[
        ("bomb-functions", took),
        ("bomb-one-function", took),
        ("bomb-nesting", "compiling it took more than"),
        // It is large and no more: what it lacks is told then.
        ("bomb-branches", "does not have export `describe`"),
        ("bomb-too-large-function", "size"),
        ("bomb-locals", "too many locals"),
    ])
    .await;
    host.stop().await;
}

/// While bombs are compiled, plugins are served and others come in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_come_in_while_a_bomb_is_compiled() {
    let host = Host::start_with(|settings| settings.plugins.compile_seconds = 20).await;
    let bomb = async { host.upload(component("bomb-one-function", CallPath::Pure)).await };
    let others = async {
        host.bring_guest("unreachable", CallPath::Pure).await;
        for _ in 0..20 {
            assert_eq!(host.neighbours_harmed().await, None);
        }
        host.assert_well("unreachable", CallPath::Pure).await;
    };
    {
        let mut bomb = std::pin::pin!(bomb);
        tokio::select! {
            biased;
            () = others => {}
            answer = &mut bomb => panic!("the bomb was done first: {}", answer.json),
        }
    }
    host.stop().await;
}
