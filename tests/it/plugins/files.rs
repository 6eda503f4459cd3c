//! The plugin folder: files that come, change, break and go.

use std::path::PathBuf;

use looma_tests::{
    Store, TestServer, both_databases, eventually,
    plugins::{component, renewed},
};
use serde_json::json;

fn file(looma: &TestServer, name: &str) -> PathBuf {
    looma.app().settings.plugins_dir().join(format!("{name}.wasm"))
}

fn rename_into_place(path: &std::path::Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(&new, path).unwrap();
}

both_databases! {
    /// A broken file is a state with its reason; the version before serves on, and a whole file mends it.
    async fn broken_file_leaves_the_version_before_in_service(looma: TestServer) {
        looma.load_plugins(&["threshold"]).await;
        let admin = looma.admin().await;
        let good = admin.get("/plugins/threshold").await.expect(200);
        assert_eq!(good["source"], "folder");
        for (bytes, told) in [
            (Vec::new(), "the file is empty"),
            (b"garbage".to_vec(), "not WebAssembly"),
            (component("log"), "it is a notifier"),
        ] {
            rename_into_place(&file(looma, "threshold"), &bytes);
            looma.run_task("plugins.scan").await;
            let plugin = admin.get("/plugins/threshold").await.expect(200);
            assert_eq!((&plugin["state"], &plugin["digest"]), (&json!("failed"), &good["digest"]));
            assert!(plugin["error"].as_str().unwrap().contains(told), "{plugin}");
            let checked = admin.post("/plugins/threshold/check", &json!({"config": {}})).await.expect(200);
            assert_eq!(checked["valid"], false);
        }
        rename_into_place(&file(looma, "threshold"), &component("threshold"));
        looma.run_task("plugins.scan").await;
        let mended = admin.get("/plugins/threshold").await.expect(200);
        assert_eq!((&mended["state"], &mended["error"]), (&json!("active"), &json!(null)));
    }

    /// A file that never loaded is shown as failed, under its name.
    async fn file_that_never_loaded_is_shown(looma: TestServer) {
        std::fs::write(file(looma, "hopeless"), b"\0asm nonsense").unwrap();
        looma.run_task("plugins.scan").await;
        let plugin = looma.admin().await.get("/plugins/hopeless").await.expect(200);
        assert_eq!((&plugin["state"], &plugin["kind"]), (&json!("failed"), &json!(null)));
        assert!(!plugin["error"].as_str().unwrap().is_empty());
    }

    /// A file whose name is not the plugin's own is refused.
    async fn file_under_another_name_is_refused(looma: TestServer) {
        std::fs::write(file(looma, "other"), component("log")).unwrap();
        looma.run_task("plugins.scan").await;
        let plugin = looma.admin().await.get("/plugins/other").await.expect(200);
        assert!(plugin["error"].as_str().unwrap().contains("the plugin says it is \"log\""), "{plugin}");
    }

    /// When its file is gone, so is the plugin.
    async fn plugin_goes_with_its_file(looma: TestServer) {
        looma.load_plugins(&["log"]).await;
        std::fs::remove_file(file(looma, "log")).unwrap();
        looma.run_task("plugins.scan").await;
        looma.admin().await.get("/plugins/log").await.expect(404);
    }

    /// What happens in the folder is seen by itself: a file that is renamed in, and one that is written in place.
    async fn changes_in_the_folder_are_seen(looma: TestServer) {
        let admin = looma.admin().await;
        rename_into_place(&file(looma, "log"), &component("log"));
        let first = eventually("plugin", async || {
            let answer = admin.get("/plugins/log").await;
            (answer.status == 200).then(|| answer.json["digest"].clone())
        })
        .await;
        std::fs::write(file(looma, "log"), renewed(component("log"), "written in place")).unwrap();
        eventually("new version", async || {
            let plugin = admin.get("/plugins/log").await.expect(200);
            (plugin["digest"] != first && plugin["state"] == "active").then_some(())
        })
        .await;
    }

    /// Whoever watches plugins sees them come and break.
    async fn changes_are_watched(looma: TestServer) {
        looma.load_plugins(&["log"]).await;
        rename_into_place(&file(looma, "log"), b"broken");
        looma.run_task("plugins.scan").await;
        let changes = looma.app().feed.after(looma::ids::Revision(0), 100).await.unwrap().unwrap();
        let states: Vec<_> = changes
            .iter()
            .filter(|change| change.topic == "plugins" && change.key == "log")
            .filter_map(|change| change.read::<serde_json::Value>())
            .map(|plugin| plugin["state"].clone())
            .collect();
        assert_eq!(states, ["active", "failed"]);
    }
}

/// After a restart a file that was superseded by an upload stays out, and one that is new comes in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn superseded_file_stays_out_after_a_restart() {
    let looma = TestServer::start(Store::sqlite()).await;
    looma.load_plugins(&["log"]).await;
    let newer = renewed(component("log"), "uploaded");
    let uploaded = looma.admin().await.post_bytes("/plugins", "application/wasm", newer).await.expect(201);
    let looma = looma.restart().await;
    assert_eq!(looma.admin().await.get("/plugins/log").await.expect(200)["digest"], uploaded["digest"]);
    rename_into_place(&file(&looma, "log"), &renewed(component("log"), "while it ran not"));
    let looma = looma.restart().await;
    assert_ne!(looma.admin().await.get("/plugins/log").await.expect(200)["digest"], uploaded["digest"]);
    looma.stop().await;
}
