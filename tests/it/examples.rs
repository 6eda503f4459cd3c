//! What `examples/` shows is what the program does.

use std::path::{Path, PathBuf};

use looma::settings::{Flags, Settings};
use looma_tests::{Store, TestServer, eventually, kit};
use serde_json::json;

use crate::alerts;

fn example(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples")).join(name)
}

/// The example of the settings names every setting, each with its default.
#[test]
fn settings_are_the_defaults() {
    let file = example("looma.toml");
    let loaded = Settings::load(&Flags { config: Some(file.clone()), ..Flags::default() }).unwrap();
    let json = |settings: &Settings| serde_json::to_value(settings).unwrap();
    assert_eq!(json(&loaded), json(&Settings::default()));
    let text = std::fs::read_to_string(file).unwrap();
    for (section, settings) in json(&loaded).as_object().unwrap() {
        assert!(text.contains(&format!("[{section}]")), "[{section}]");
        for name in settings.as_object().unwrap().keys() {
            assert!(text.contains(&format!("{name} = ")), "{section}.{name}");
        }
    }
}

/// The bad plugins build, and the server says of them what the page beside them says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_plugins_are_told_in_the_words_of_their_page() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("examples/plugins");
    copy(&example("plugins"), &plugins);
    copy(&example("../wit"), &folder.path().join("wit"));
    kit::adopt(&plugins);
    let built = kit::plugin(&plugins, &["build", "wants-http", "loops", "--out", "."]);
    built.expect(0);
    let page = std::fs::read_to_string(plugins.join("README.md")).unwrap();
    let says = |words: &str| assert!(page.contains(words), "the page does not say: {words}");
    let looma = TestServer::start(Store::sqlite()).await;
    let admin = looma.admin().await;
    let file = |name: &str| std::fs::read(plugins.join(format!("{name}.wasm"))).unwrap();

    let checked = kit::plugin(&plugins, &["check", "wants-http.wasm"]);
    let refused = admin.post_bytes("/plugins", "application/wasm", file("wants-http")).await.expect(422);
    let message = refused["errors"][0]["message"].as_str().unwrap();
    for part in message.split("; what to do: ") {
        says(part);
        assert!(checked.out.contains(part), "{checked:?}");
    }
    checked.expect(1);
    std::fs::write(looma.app().settings.plugins_dir().join("wants-http.wasm"), file("wants-http")).unwrap();
    looma.run_task("plugins.scan").await;
    let shown = admin.get("/plugins/wants-http").await.expect(200);
    assert_eq!((&shown["state"], shown["error"].as_str()), (&json!("failed"), message.split(';').next()));
    assert_eq!(admin.get("/plugins/wants-http/admission").await.expect(200)["admitted"], false);

    admin.put("/plugins/loops/grants", &json!({"deadline_ms": 100})).await.expect(200);
    admin.post_bytes("/plugins", "application/wasm", file("loops")).await.expect(201);
    let trial = json!({"input": {"series": [{"points": [["2026-01-01T00:00:00Z", 1]]}]}});
    let failed = admin.post("/plugins/loops/run", &trial).await.expect(422);
    says(failed["errors"][0]["message"].as_str().unwrap());
    alerts::rule(&looma, "never", json!({"evaluator": "loops", "comparison_operator": null, "threshold_value": null}))
        .await;
    // A call that the machine had no time for is not counted.
    let resting = eventually("rest", async || {
        alerts::sample(&looma, "s", 1.0).await;
        alerts::tick(&looma, 10).await;
        let plugin = looma.admin().await.get("/plugins/loops").await.expect(200);
        (plugin["state"] == "quarantined").then_some(plugin)
    })
    .await;
    says(resting["error"].as_str().unwrap());
    looma.stop().await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        match path.is_dir() {
            true if name == "target" => {}
            true => copy(&path, &to.join(name)),
            false => drop(std::fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}
