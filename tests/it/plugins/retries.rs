//! What is tried again: a file that was not taken for a reason outside it, and a change that another replica brought.

use std::{os::unix::fs::symlink, path::PathBuf, time::Duration};

use looma_tests::{
    ADMIN_PASSWORD, Store, TestServer, eventually,
    plugins::{component, looma_binary, renewed},
};

/// A server whose compiler is not there yet, and where it is looked for.
async fn server_without_a_compiler(store: Store) -> (TestServer, PathBuf) {
    let mut settings = store.settings();
    let compiler = store.dir().join("compiler");
    settings.plugins.compiler = Some(compiler.clone());
    settings.plugins.cache = Some(store.dir().join("cache"));
    (TestServer::start_with(store, settings).await, compiler)
}

/// A file that could not be compiled for a fault of the host is tried again after a pause, and one that is at fault is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_is_tried_again_after_a_fault_of_the_host() {
    let (looma, compiler) = server_without_a_compiler(Store::sqlite()).await;
    let admin = looma.admin().await;
    let folder = looma.app().settings.plugins_dir();
    std::fs::write(folder.join("log.wasm"), component("log")).unwrap();
    looma.run_task("plugins.scan").await;
    let failed = admin.get("/plugins/log").await.expect(200);
    assert_eq!(failed["state"], "failed");
    assert!(failed["error"].as_str().unwrap().contains("could not compile it"), "{failed}");
    symlink(looma_binary(), &compiler).unwrap();
    looma.run_task("plugins.scan").await;
    assert_eq!(admin.get("/plugins/log").await.expect(200)["state"], "failed", "its pause is not over");
    looma.advance(Duration::from_secs(31));
    looma.run_task("plugins.scan").await;
    assert_eq!(admin.get("/plugins/log").await.expect(200)["state"], "active");
    looma.stop().await;
}

/// An upload that fails for a fault of the host is told so, and not that it is at fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upload_is_not_blamed_for_a_fault_of_the_host() {
    let (looma, compiler) = server_without_a_compiler(Store::sqlite()).await;
    let admin = looma.admin().await;
    let answer = admin.post_bytes("/plugins", "application/wasm", component("log")).await;
    assert!(answer.expect(503)["detail"].as_str().unwrap().contains("could not compile it"));
    symlink(looma_binary(), &compiler).unwrap();
    admin.post_bytes("/plugins", "application/wasm", component("log")).await.expect(201);
    looma.stop().await;
}

/// What the database says serves is loaded after a start whose compiler was not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_version_is_loaded_when_the_host_is_well_again() {
    let (looma, compiler) = server_without_a_compiler(Store::sqlite()).await;
    symlink(looma_binary(), &compiler).unwrap();
    looma.admin().await.post_bytes("/plugins", "application/wasm", component("log")).await.expect(201);
    std::fs::remove_file(&compiler).unwrap();
    std::fs::remove_dir_all(looma.store().dir().join("cache")).unwrap();
    let looma = looma.restart().await;
    assert_eq!(looma.admin().await.get("/plugins/log").await.expect(200)["state"], "failed");
    symlink(looma_binary(), &compiler).unwrap();
    eventually("plugin that serves", async || {
        // So much time goes by that no token lasts.
        looma.advance(Duration::from_secs(31));
        let plugin = looma.sign_in("admin", ADMIN_PASSWORD).await.get("/plugins/log").await.expect(200);
        (plugin["state"] == "active").then_some(())
    })
    .await;
    looma.stop().await;
}

/// A version that one replica brought comes to another that could not take it at first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_follows_when_it_can() {
    let Some(store) = Store::postgres().await else { return };
    let first = TestServer::start(store.clone()).await;
    let (second, compiler) = server_without_a_compiler(store).await;
    let version = renewed(component("log"), "followed");
    let brought = first.admin().await.post_bytes("/plugins", "application/wasm", version).await.expect(201);
    second.run_task("feed.follow").await;
    eventually("plugin that failed", async || {
        let plugin = second.admin().await.get("/plugins/log").await;
        (plugin.status == 200 && plugin.json["state"] == "failed").then_some(())
    })
    .await;
    symlink(looma_binary(), &compiler).unwrap();
    let followed = eventually("plugin that serves", async || {
        second.advance(Duration::from_secs(31));
        let plugin = second.sign_in("admin", ADMIN_PASSWORD).await.get("/plugins/log").await.expect(200);
        (plugin["state"] == "active").then_some(plugin)
    })
    .await;
    assert_eq!(followed["digest"], brought["digest"]);
    first.stop().await;
    second.stop().await;
}
