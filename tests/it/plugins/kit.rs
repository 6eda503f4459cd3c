//! The author's kit: `looma plugin new`, `build`, `check`, `test`, `bench`, and what it does with a server.

use std::path::Path;

use looma::plugins::Kind;
use looma_tests::{
    Store, TestServer,
    kit::{adopt, plugin},
    plugins::{component, evaluator, renewed},
    root,
};
use serde_json::{Value, json};

/// The result of a plan that asks for nothing.
const NOTHING: &str = "(i32.const 512)";

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A project of each kind builds outside of the repository, would be taken by a server, and passes its own cases.
#[test]
fn new_projects_build_and_pass() {
    let folder = tempfile::tempdir().unwrap();
    for kind in Kind::ALL {
        let name = format!("my-{kind}");
        plugin(folder.path(), &["new", &name, "--kind", kind.as_str()]).expect(0);
        let project = folder.path().join(&name);
        adopt(&project);
        let tested = plugin(folder.path(), &["test", &name]).expect(0);
        assert!(tested.contains(" 0 failed") && !tested.contains("0 passed"), "{tested}");
        let report: Value =
            serde_json::from_str(&plugin(folder.path(), &["check", &name, "--json"]).expect(0)).unwrap();
        assert_eq!(report["admitted"], true, "{report}");
        assert_eq!((&report["name"], &report["kind"]), (&json!(name), &json!(kind)));
        let warned = report["findings"].as_array().unwrap().iter().find(|finding| finding["outcome"] != "passed");
        assert_eq!(warned, None);
    }
    let there = plugin(folder.path(), &["new", "my-notifier", "--kind", "notifier"]);
    assert!(there.err.contains("is there already"), "{there:?}");
    there.expect(1);
}

/// What there is no template for is refused with what there is.
#[test]
fn what_there_is_no_template_for_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, told) in [
        (["a", "--kind", "notifier", "--lang", "cobol"], "only for rust"),
        (["A", "--kind", "notifier", "--lang", "rust"], "is not a plugin name"),
        (["1st", "--kind", "notifier", "--lang", "rust"], "must begin with a letter"),
    ] {
        let said = plugin(folder.path(), &[&["new"], &arguments[..]].concat());
        assert!(said.err.contains(told), "{said:?}");
        said.expect(1);
    }
    let unknown = plugin(folder.path(), &["new", "a", "--kind", "thing"]);
    assert!(unknown.err.contains("alert-evaluator, notifier"), "{unknown:?}");
    unknown.expect(2);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// The bundled plugins pass their cases.
#[test]
fn bundled_plugins_pass_their_cases() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["threshold", "absence", "http-json", "log", "port-scan", "skill-match", "webhook"] {
        let file = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&file, component(name)).unwrap();
        let cases = root().join("plugins").join(name).join("tests");
        plugin(folder.path(), &["test", path(&file), "--cases", path(&cases)]).expect(0);
    }
}

/// A case that does not hold is told with each difference, and the exit code says so.
#[test]
fn failing_cases_are_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("threshold.wasm"), component("threshold")).unwrap();
    let cases = r#"
cases:
  - name: wrong verdict
    config: { comparison_operator: ">", threshold_value: 90 }
    input: { series: [{ points: [[2026-01-01T00:00:00Z, 95]] }] }
    expect: { verdicts: [{ level: 0, score: 95 }] }
  - name: wrong configuration
    config: { threshold_value: 90 }
    expect: {}
  - name: wrong fault
    config: { comparison_operator: ">", threshold_value: 90 }
    faults: [/threshold_value]
  - name: right
    config: { comparison_operator: ">", threshold_value: 90 }
    input: { series: [] }
    expect: { verdicts: [] }
"#;
    std::fs::write(folder.path().join("cases.yaml"), cases).unwrap();
    let said = plugin(folder.path(), &["test", "threshold.wasm", "--cases", "cases.yaml"]);
    let told = [
        "FAIL  wrong verdict\n        verdicts[0].level: expected 0, got 1",
        "FAIL  wrong configuration\n        the configuration is not valid",
        "FAIL  wrong fault\n        it must find faults at [\"/threshold_value\"], and it finds none",
        "ok    right",
        "1 passed, 3 failed",
    ];
    for told in told {
        assert!(said.out.contains(told), "{told}\n{said:?}");
    }
    said.expect(1);
    for (text, told) in [
        ("cases: [{name: a}]", "say one of expect, faults, fails, steps"),
        ("cases: [{name: a, expects: {}}]", "expects"),
        ("cases: []", "no case"),
    ] {
        std::fs::write(folder.path().join("cases.yaml"), text).unwrap();
        let said = plugin(folder.path(), &["test", "threshold.wasm", "--cases", "cases.yaml"]);
        assert!(said.err.contains(told), "{said:?}");
    }
}

/// A plugin that crashes or spins fails each of its cases, and the next case is run all the same.
#[test]
fn each_case_stands_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("crashes.wasm"), evaluator("crashes", NOTHING, "unreachable")).unwrap();
    let case = |n: usize| format!("  - {{ name: case {n}, input: {{ series: [] }}, fails: crashed }}\n");
    let cases: String = (0..8).map(case).collect();
    std::fs::write(folder.path().join("cases.yaml"), format!("cases:\n{cases}")).unwrap();
    let said = plugin(folder.path(), &["test", "crashes.wasm", "--cases", "cases.yaml"]).expect(0);
    assert!(said.contains("8 passed, 0 failed"), "{said}");
}

/// `check` says what is wrong and what to do, and exits with 1.
#[test]
fn check_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let check = |bytes: Vec<u8>| {
        std::fs::write(folder.path().join("it.wasm"), bytes).unwrap();
        plugin(folder.path(), &["check", "it.wasm"])
    };
    let taken = check(component("webhook")).expect(0);
    for told in
        ["webhook 0.1.0, kind notifier", "looma:host/http@0.1.0 (not granted)", "compiled in", "it would be taken"]
    {
        assert!(taken.contains(told), "{told}\n{taken}");
    }
    for (bytes, told, todo) in [
        (b"garbage".to_vec(), "not WebAssembly", "looma plugin build"),
        (wat::parse_str("(module)").unwrap(), "core module", "wasm-tools component new"),
        (wat::parse_str("(component)").unwrap(), "exports no plugin interface", "looma plugin new"),
        (evaluator("Loud", NOTHING, "unreachable"), "is not a plugin name", "mend what `describe` answers"),
        (component("threshold")[..5_000].to_vec(), "not a whole component", "looma plugin build"),
    ] {
        let said = check(bytes);
        assert!(said.out.contains(told) && said.out.contains(todo), "{told}\n{said:?}");
        assert!(said.out.contains("it would be refused"), "{said:?}");
        said.expect(1);
    }
}

/// `bench` measures, beside an empty call.
#[test]
fn bench_measures() {
    let folder = tempfile::tempdir().unwrap();
    for (name, told) in [("threshold", "ns/series"), ("skill-match", "µs")] {
        let file = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&file, component(name)).unwrap();
        let cases = root().join("plugins").join(name).join("tests");
        let said =
            plugin(folder.path(), &["bench", path(&file), "--cases", path(&cases), "--seconds", "0.01"]).expect(0);
        assert!(said.contains(told) && said.contains("beside it"), "{said}");
    }
}

/// A component is installed, rolled back, switched off and on from the command line; what is refused is told in words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_are_told_what_to_do() {
    let looma = TestServer::start(Store::sqlite()).await;
    let folder = tempfile::tempdir().unwrap();
    let (url, token) = (looma.url(), looma.admin().await.token().unwrap().to_owned());
    let run = async |arguments: &[&str]| {
        let at = folder.path().to_owned();
        let arguments: Vec<String> =
            arguments.iter().copied().chain(["--server", &url, "--token", &token]).map(str::to_owned).collect();
        let called = move || plugin(&at, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(called).await.unwrap()
    };
    std::fs::write(folder.path().join("webhook.wasm"), component("webhook")).unwrap();
    let installed = run(&["install", "webhook.wasm"]).await.expect(0);
    assert!(installed.contains("webhook 0.1.0 (notifier, ") && installed.contains("is active"), "{installed}");
    assert!(installed.contains("PUT /api/v1/plugins/webhook/grants"), "{installed}");
    looma.advance(std::time::Duration::from_secs(1));
    std::fs::write(folder.path().join("webhook.wasm"), renewed(component("webhook"), "second")).unwrap();
    let installed = run(&["install", "webhook.wasm"]).await.expect(0);
    assert!(installed.contains("`looma plugin rollback webhook` goes back to 0.1.0"), "{installed}");
    run(&["rollback", "webhook"]).await.expect(0);
    assert!(run(&["disable", "webhook"]).await.expect(0).contains("is disabled"));
    assert!(run(&["enable", "webhook"]).await.expect(0).contains("is active"));
    std::fs::write(folder.path().join("bad.wasm"), b"garbage").unwrap();
    let refused = run(&["install", "bad.wasm"]).await;
    assert!(refused.err.contains("not WebAssembly") && refused.err.contains("what to do:"), "{refused:?}");
    refused.expect(1);
    let unknown = run(&["rollback", "nobody"]).await;
    assert!(unknown.err.contains("404"), "{unknown:?}");
    unknown.expect(1);
    looma.stop().await;
}
