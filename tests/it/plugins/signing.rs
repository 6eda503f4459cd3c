//! Signatures: made by the command line, wanted by a server, and refused when they are anything but good.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use looma::settings::Settings;
use looma_tests::{
    Answer, Client, Store, TestServer,
    plugins::{component, renewed},
};
use reqwest::Method;
use serde_json::{Value, json};

fn looma(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_looma")).arg("plugin").args(arguments).output().unwrap()
}

fn done(arguments: &[&str]) -> String {
    let output = looma(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn failed(arguments: &[&str]) -> String {
    let output = looma(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A folder with keys and components of a test's own.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Makes a key and gives what it is trusted by.
    fn key(&self, name: &str) -> String {
        done(&["keygen", &self.path(name)]);
        std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap().trim().to_owned()
    }

    /// The signature of a component, made with a key of the folder.
    fn sign(&self, key: &str, wasm: &[u8]) -> String {
        let file = self.path("signed.wasm");
        std::fs::write(&file, wasm).unwrap();
        done(&["sign", &file, "--key", &self.path(key)]);
        std::fs::read_to_string(format!("{file}.sig")).unwrap().trim().to_owned()
    }

    /// The component with its signature inside.
    fn embed(&self, key: &str, wasm: &[u8]) -> Vec<u8> {
        let file = self.path("embedded.wasm");
        std::fs::write(&file, wasm).unwrap();
        done(&["sign", &file, "--key", &self.path(key), "--embed"]);
        std::fs::read(&file).unwrap()
    }
}

/// Settings of a server that takes what these keys signed, and nothing else.
fn strict(store: &Store, keys: &[&str]) -> Settings {
    let mut settings = store.settings();
    settings.plugins.require_signature = true;
    settings.plugins.trusted_keys = keys.iter().map(ToString::to_string).collect();
    settings
}

async fn upload(client: &Client, wasm: &[u8], signature: Option<&str>) -> Answer {
    let mut request = client.request(Method::POST, "/plugins").header("content-type", "application/wasm");
    if let Some(signature) = signature {
        request = request.header("x-looma-signature", signature);
    }
    client.send(request.body(wasm.to_vec())).await
}

async fn plugin(looma: &TestServer, name: &str) -> Value {
    looma.admin().await.get(&format!("/plugins/{name}")).await.expect(200)
}

fn in_folder(looma: &TestServer, name: &str) -> PathBuf {
    looma.app().settings.plugins_dir().join(name)
}

fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// The command line makes keys that others cannot read, signs beside and inside, and tells a good signature from others.
#[test]
fn the_command_line_signs_and_verifies() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    let (one, other) = (bench.key("one"), bench.key("other"));
    let mode = std::fs::metadata(bench.path("one")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(failed(&["keygen", &bench.path("one")]).contains("is there already"));
    assert!(
        done(&["keygen", &bench.path("third"), "--name", "ci@example"]).starts_with("trusted_keys = [\"ci@example:")
    );
    let file = bench.path("plugin.wasm");
    std::fs::write(&file, component("log")).unwrap();
    assert!(failed(&["verify", &file, "--key", &one]).contains("it is not signed"));
    done(&["sign", &file, "--key", &bench.path("one")]);
    assert!(done(&["verify", &file, "--key", &other, "--key", &one]).ends_with("is signed by one"));
    assert!(done(&["verify", &file, "--key", &bench.path("one.pub")]).ends_with("is signed by one"));
    assert!(failed(&["verify", &file, "--key", &other]).contains("is not trusted"));
    std::fs::remove_file(format!("{file}.sig")).unwrap();
    done(&["sign", &file, "--key", &bench.path("other"), "--embed"]);
    done(&["sign", &file, "--key", &bench.path("one"), "--embed"]);
    assert!(done(&["verify", &file, "--key", &one]).ends_with("is signed by one"));
    std::fs::write(&file, renewed(std::fs::read(&file).unwrap(), "tampered")).unwrap();
    assert!(failed(&["verify", &file, "--key", &one]).contains("something stands behind its signature"));
    assert!(failed(&["sign", &file, "--key", &bench.path("one.pub")]).contains("can be read by others"));
}

/// A server that wants signatures takes what a trusted key signed, and says of everything else why not; refusals are audited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsigned_and_badly_signed_uploads_are_refused() {
    let bench = Bench::new();
    let (one, _) = (bench.key("one"), bench.key("other"));
    let store = Store::sqlite();
    let settings = strict(&store, &[&one]);
    let looma = TestServer::start_with(store, settings).await;
    let admin = looma.admin().await;
    let log = component("log");
    let tampered = renewed(log.clone(), "tampered");
    let good = bench.sign("one", &log);
    for (wasm, signature, told) in [
        (&log, None, "it is not signed, and this server takes signed plugins alone"),
        (&log, Some(bench.sign("other", &log)), "which is not trusted here"),
        (&tampered, Some(good.clone()), "its signature by one is not of this file"),
        (&log, Some("garbage".to_owned()), "not of the form ed25519:KEY:SIGNATURE"),
        (&log, Some(good[..good.len() - 8].to_owned()), "not of the form ed25519:KEY:SIGNATURE"),
        (&renewed(bench.embed("one", &log), "behind"), None, "something stands behind its signature"),
        (&bench.embed("other", &log), None, "which is not trusted here"),
    ] {
        let refused = upload(admin, wasm, signature.as_deref()).await.expect(422);
        assert!(refused["detail"].as_str().unwrap().contains(told), "{refused}");
    }
    admin.get("/plugins/log").await.expect(404);
    let audit = admin.get("/audit-logs?resource_type=plugins&action=refused").await.expect(200);
    assert_eq!(audit["items"].as_array().unwrap().len(), 7, "{audit}");
    assert!(audit["items"][6]["after"]["reason"].as_str().unwrap().contains("it is not signed"));
    let taken = upload(admin, &log, Some(&good)).await.expect(201);
    assert_eq!((&taken["state"], &taken["signed_by"]), (&json!("active"), &json!("one")));
    let inside = upload(admin, &bench.embed("one", &log), None).await.expect(201);
    assert_eq!((&inside["state"], &inside["signed_by"]), (&json!("active"), &json!("one")));
    looma.stop().await;
}

/// A file of the folder waits for its signature; one that is replaced by a bad one leaves the good one in service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_in_the_folder_count() {
    let bench = Bench::new();
    let (one, _) = (bench.key("one"), bench.key("other"));
    let store = Store::sqlite();
    let settings = strict(&store, &[&one]);
    let looma = TestServer::start_with(store, settings).await;
    let scan = async || {
        looma.run_task("plugins.scan").await;
        plugin(&looma, "log").await
    };
    let log = component("log");
    put(&in_folder(&looma, "log.wasm"), &log);
    let waiting = scan().await;
    assert_eq!((&waiting["state"], &waiting["kind"]), (&json!("failed"), &json!(null)));
    assert!(waiting["error"].as_str().unwrap().contains("it is not signed"), "{waiting}");
    put(&in_folder(&looma, "log.wasm.sig"), bench.sign("other", &log));
    assert!(scan().await["error"].as_str().unwrap().contains("which is not trusted here"));
    put(&in_folder(&looma, "log.wasm.sig"), bench.sign("one", &log));
    let taken = scan().await;
    assert_eq!((&taken["state"], &taken["signed_by"]), (&json!("active"), &json!("one")), "{taken}");
    put(&in_folder(&looma, "log.wasm"), renewed(log.clone(), "newer"));
    let newer = scan().await;
    assert_eq!((&newer["state"], &newer["digest"]), (&json!("failed"), &taken["digest"]));
    assert!(newer["error"].as_str().unwrap().contains("its signature by one is not of this file"), "{newer}");
    put(&in_folder(&looma, "log.wasm.sig"), bench.sign("one", &renewed(log, "newer")));
    let newer = scan().await;
    assert_eq!((&newer["state"], &newer["previous"][0]["digest"]), (&json!("active"), &taken["digest"]), "{newer}");
    let refusals = looma.admin().await.get("/audit-logs?resource_type=plugins&action=refused").await.expect(200);
    assert_eq!(refusals["items"][0]["actor"], "system:plugins.watch", "{refusals}");
    looma.stop().await;
}

/// An unsigned set is refused as a whole, and the server serves all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bundled_set_has_to_be_signed_too() {
    let store = Store::sqlite();
    for keys in [&[][..], &["somebody:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]] {
        let mut settings = strict(&store, keys);
        settings.plugins.dir = Some(looma_tests::bundled(Path::new(env!("CARGO_BIN_EXE_looma"))).to_owned());
        let looma = TestServer::start_with(store.clone(), settings).await;
        let all = looma.admin().await.get("/plugins").await.expect(200);
        let all = all["items"].as_array().unwrap();
        assert!(all.len() >= 7, "{all:?}");
        for plugin in all {
            assert_eq!((&plugin["state"], &plugin["version"]), (&json!("failed"), &json!(null)), "{plugin}");
        }
        looma.stop().await;
    }
}

/// Where none is required, an unsigned plugin serves as signed by nobody; it is shown as signed once its signature lies there.
/// A wrong signature is refused all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_are_looked_at_where_none_is_required() {
    let bench = Bench::new();
    let one = bench.key("one");
    let store = Store::sqlite();
    let mut settings = store.settings();
    settings.plugins.trusted_keys = vec![one];
    let looma = TestServer::start_with(store, settings).await;
    looma.load_plugins(&["log"]).await;
    assert_eq!(plugin(&looma, "log").await["signed_by"], json!(null));
    put(&in_folder(&looma, "log.wasm.sig"), bench.sign("one", &component("log")));
    looma.run_task("plugins.scan").await;
    let signed = plugin(&looma, "log").await;
    assert_eq!((&signed["signed_by"], &signed["previous"]), (&json!("one"), &json!([])), "{signed}");
    let threshold = component("threshold");
    let wrong = bench.sign("one", &renewed(threshold.clone(), "other bytes"));
    upload(looma.admin().await, &threshold, Some(&wrong)).await.expect(422);
    let looma = looma.restart().await;
    assert_eq!(plugin(&looma, "log").await["signed_by"], "one");
    looma.stop().await;
}

/// The signature is kept with its version: after a restart it is verified again, and a key that is not trusted any more
/// takes its plugins with it, the way back as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_revoked_takes_its_plugins_with_it() {
    let bench = Bench::new();
    let (one, other) = (bench.key("one"), bench.key("other"));
    let store = Store::sqlite();
    let settings = strict(&store, &[&one, &other]);
    let looma = TestServer::start_with(store.clone(), settings).await;
    let (first, second) = (component("log"), renewed(component("log"), "second"));
    let admin = looma.admin().await;
    upload(admin, &first, Some(&bench.sign("one", &first))).await.expect(201);
    looma.advance(std::time::Duration::from_secs(1));
    upload(admin, &second, Some(&bench.sign("other", &second))).await.expect(201);
    let looma = looma.restart().await;
    assert_eq!(plugin(&looma, "log").await["signed_by"], "other");
    looma.stop().await;
    let looma = TestServer::start_with(store.clone(), strict(&store, &[&one])).await;
    let refused = plugin(&looma, "log").await;
    assert_eq!((&refused["state"], &refused["version"]), (&json!("failed"), &json!(null)), "{refused}");
    assert!(refused["error"].as_str().unwrap().contains("which is not trusted here"), "{refused}");
    looma.stop().await;
    let looma = TestServer::start_with(store.clone(), strict(&store, &[&other])).await;
    assert_eq!(plugin(&looma, "log").await["signed_by"], "other");
    let refused = looma.admin().await.post("/plugins/log/rollback", &json!({})).await.expect(422);
    assert!(refused["detail"].as_str().unwrap().contains("which is not trusted here"), "{refused}");
    assert_eq!(plugin(&looma, "log").await["signed_by"], "other");
    looma.stop().await;
}

/// What another replica took is verified here, with the keys of this one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_verify_for_themselves() {
    let Some(store) = Store::postgres().await else { return };
    let bench = Bench::new();
    let (one, other) = (bench.key("one"), bench.key("other"));
    let first = TestServer::start_with(store.clone(), strict(&store, &[&one])).await;
    let second = TestServer::start_with(store.clone(), strict(&store, &[&one])).await;
    let third = TestServer::start_with(store.clone(), strict(&store, &[&other])).await;
    let log = component("log");
    upload(first.admin().await, &log, Some(&bench.sign("one", &log))).await.expect(201);
    for (replica, state) in [(&second, "active"), (&third, "failed")] {
        let shown = looma_tests::eventually("plugin on a replica", async || {
            replica.run_task("feed.follow").await;
            let plugin = replica.admin().await.get("/plugins/log").await;
            (plugin.status == 200).then_some(plugin.json)
        })
        .await;
        assert_eq!(shown["state"], state, "{shown}");
    }
    for replica in [third, second, first] {
        replica.stop().await;
    }
}

/// A key that is none ends the start, and names the setting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_none_is_told_at_the_start() {
    let store = Store::sqlite();
    let settings = strict(&store, &["nonsense"]);
    let start = looma::run::Start { settings, clock: looma::clock::Clock::system(), admin_password: None };
    let error = format!("{:#}", looma::run::start(start).await.err().unwrap());
    assert!(error.contains("plugins.trusted_keys") && error.contains("NAME:KEY"), "{error}");
}
