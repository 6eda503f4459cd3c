//! Components that want what the host has not, or speak what it does not.

use super::*;

/// Each is refused, and told what exactly does not fit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_told_exactly() {
    let host = Host::start().await;
    host.refuse(&[
        ("wants-metrics", "plugin wants looma:host/metrics, which the host does not have"),
        ("wants-http", "plugin wants looma:host/http, kind alert-evaluator has none"),
        ("wants-wasi-http", "plugin wants wasi:http/outgoing-handler, which no kind has; HTTP is looma:host/http"),
        ("wants-strangers", "plugin wants evil:host/everything, which the host does not have"),
        ("wants-tomorrow", "plugin speaks looma:host/log@0.2.0, the host speaks looma:host/log@0.1.0"),
        ("wants-no-version", "plugin names looma:host/log without a version"),
        ("wants-a-function", "plugin wants run-as-root, which the host does not have"),
        ("wants-later-wasi", "it does not fit the host: component imports instance `wasi:cli/environment@0.9.0`"),
        ("wants-wrong-types", "it does not fit the host: component imports instance `looma:host/log@0.1.0`"),
        (
            "speaks-tomorrow",
            "plugin speaks looma:alerting/evaluator@0.2.0, the host speaks looma:alerting/evaluator@0.1.0",
        ),
        ("streams", "async"),
    ])
    .await;
    host.stop().await;
}

/// However many names a file exports and whatever is in them, the reason stays short and plain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reasons_are_short_whatever_is_in_the_file() {
    let host = Host::start().await;
    let exports: String =
        (0..5_000).map(|n| format!("(export \"some-quite-long-name-of-an-export-{n}\" (instance $none))")).collect();
    let file = wat::parse_str(format!("(component (instance $none) {exports})")).unwrap();
    let refused = host.upload(file).await.expect(422);
    let detail = message(&refused);
    assert!(detail.starts_with("it exports no plugin interface") && detail.len() <= 2_003, "{} bytes", detail.len());
    host.stop().await;
}

/// Cut anywhere, or with a byte changed anywhere, a component does no harm: it is refused in words, or it is as good as another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_files_do_no_harm() {
    let host = Host::start().await;
    let whole = component("unreachable", CallPath::Pure);
    for part in 0..16 {
        let cut = whole[..whole.len() * part / 16].to_vec();
        let refused = host.upload(cut).await.expect(422);
        assert!(!message(&refused).is_empty());
    }
    for part in 0..16 {
        let mut changed = whole.clone();
        let at = whole.len() * part / 16 + part;
        changed[at] ^= 1 << (part % 8);
        let answer = host.upload(changed).await;
        assert!([201, 422].contains(&answer.status), "{}: {}", at, answer.json);
    }
    assert_eq!(host.neighbours_harmed().await, None);
    host.stop().await;
}
