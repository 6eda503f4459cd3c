//! The README says what the program does today.

use std::{path::Path, process::Command};

use looma_tests::{Process, Store, TestServer, Workspace, bundled, kit, plugins::renewed, root};
use serde_json::json;

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_looma"))
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// The first block of code in this language.
fn block(language: &str) -> String {
    let text = readme();
    let code = text.split(&format!("```{language}\n")).nth(1).unwrap();
    code.split("```").next().unwrap().to_owned()
}

/// The evaluator of the README builds, loads, and takes the rule that the README makes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_evaluator_of_the_readme_serves() {
    let workspace = Workspace::copy();
    let folder = workspace.path().join("plugins/ceiling");
    std::fs::create_dir_all(folder.join("src")).unwrap();
    std::fs::write(folder.join("Cargo.toml"), block("toml")).unwrap();
    std::fs::write(folder.join("src/lib.rs"), block("rust")).unwrap();
    let store = Store::sqlite();
    let mut settings = store.settings();
    let out = store.dir().join("built");
    let built = Command::new(binary()).args(["plugin", "build"]).arg(&folder).arg("--out").arg(&out).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    settings.plugins.dir = Some(out);
    let looma = TestServer::start_with(store, settings).await;
    let admin = looma.admin().await;
    let plugin = admin.get("/plugins/ceiling").await.expect(200);
    assert_eq!((&plugin["state"], &plugin["kind"]), (&json!("active"), &json!("alert-evaluator")), "{plugin}");
    let rule = |ceiling: i32| json!({"rule_name": "too high", "metric_name": "cpu_usage", "severity": "warning", "evaluator": "ceiling", "config": {"ceiling": ceiling}});
    assert_eq!(admin.post("/alert-rules", &rule(-1)).await.pointers(), ["/config/ceiling"]);
    admin.post("/alert-rules", &rule(80)).await.expect(201);
    let text = readme();
    let policy = text.split("/plugins/ceiling/rollout\" -d '").nth(1).unwrap().split('\'').next().unwrap();
    admin.put("/plugins/ceiling/rollout", &serde_json::from_str(policy).unwrap()).await.expect(200);
    let file = looma.app().settings.plugins_dir().join("ceiling.wasm");
    let newer = renewed(std::fs::read(file).unwrap(), "newer");
    let taken = admin.post_bytes("/plugins", "application/wasm", newer).await.expect(201);
    assert_eq!((&taken["digest"], &taken["rollout"]["stage"]), (&plugin["digest"], &json!("shadow")), "{taken}");
    assert_eq!(admin.get("/plugins/ceiling/shadow").await.expect(200)["calls"], 0);
    let promoted = admin.post("/plugins/ceiling/promote", &json!({})).await.expect(200);
    assert_eq!(promoted["rollout"]["stage"], "canary", "{promoted}");
    assert_eq!(admin.get("/plugins/ceiling/history").await.expect(200)["items"][0]["action"], "canary");
    looma.stop().await;
}

/// The first ten minutes, as the script plays them, end with an alert that was delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_ten_minutes_are_as_told() {
    let store = Store::sqlite();
    let plugins = bundled(binary()).to_str().unwrap();
    let looma = Process::start(binary(), &["serve", "--plugins", plugins], &store);
    let password = store.dir().join("password");
    std::fs::write(&password, looma_tests::ADMIN_PASSWORD).unwrap();
    let mut script = Command::new("bash");
    script
        .arg(root().join("examples/first-ten-minutes.sh"))
        .env("LOOMA_URL", &looma.url)
        .env("LOOMA_PASSWORD_FILE", password);
    let played = tokio::task::spawn_blocking(move || script.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&played.stdout);
    assert!(played.status.success(), "{said}\n{}", String::from_utf8_lossy(&played.stderr));
    assert!(said.contains("\"title\":\"[FIRING:1] cpu high\""), "{said}");
}

/// A plugin of one's own begins, is tested and is checked as the README tells it.
#[test]
fn a_plugin_of_your_own_is_as_told() {
    let folder = tempfile::tempdir().unwrap();
    kit::plugin(folder.path(), &["new", "my-evaluator", "--kind", "alert-evaluator"]).expect(0);
    kit::adopt(&folder.path().join("my-evaluator"));
    let text = readme();
    let told = text.split("$ looma plugin test my-evaluator\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(kit::plugin(folder.path(), &["test", "my-evaluator"]).expect(0), told);
    std::fs::write(folder.path().join("readme.yaml"), block("yaml")).unwrap();
    kit::plugin(folder.path(), &["test", "my-evaluator", "--cases", "readme.yaml"]).expect(0);
    kit::plugin(folder.path(), &["check", "my-evaluator"]).expect(0);
}

/// Every path, file and subcommand that the README names is there.
#[test]
fn what_it_names_is_there() {
    let text = readme();
    let named = text.split('`').skip(1).step_by(2).filter(|code| !code.contains(['<', '\n', '*', ' ', '{']));
    let tops = ["host/", "plugins/", "wit/", "migrations/", "tests/", "examples/", ".ci/"];
    let made = ["plugins/ceiling", "migrations/sqlite/NNNN_name.sql", "migrations/postgres/NNNN_name.sql"];
    let missing: Vec<_> = named
        .filter(|code| tops.iter().any(|top| code.starts_with(top)) && !made.contains(code))
        .filter(|path| !root().join(path).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let programs: Vec<&str> = text.split("--bin ").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    assert!(programs.contains(&"soak") && programs.contains(&"load"), "{programs:?}");
    for program in programs {
        let at = |folder: &str| root().join(folder).join(format!("{program}.rs"));
        assert!(at("tests/src/bin").exists() || at("tests/bench").exists(), "{program}");
    }
    for command in ["serve", "dev", "agent", "service", "plugin", "import", "openapi"] {
        assert!(Command::new(binary()).args([command, "--help"]).output().unwrap().status.success(), "{command}");
    }
    let mut of_plugins: Vec<&str> =
        text.split("looma plugin ").skip(1).filter_map(|rest| rest.split([' ', '\n', '`']).next()).collect();
    of_plugins.retain(|command| command.chars().all(|c| c.is_ascii_lowercase()) && !command.is_empty());
    assert!(of_plugins.len() > 5, "{of_plugins:?}");
    for command in of_plugins {
        assert!(
            Command::new(binary()).args(["plugin", command, "--help"]).output().unwrap().status.success(),
            "{command}"
        );
    }
}
