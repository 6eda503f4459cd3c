//! Files that are too large, half there, not what they seem, or changed while they are looked at.

use std::path::{Path, PathBuf};

use super::*;

fn file(host: &Host, name: &str) -> PathBuf {
    host.looma.app().settings.plugins_dir().join(format!("{name}.wasm"))
}

async fn plugin(host: &Host, name: &str) -> Value {
    host.looma.admin().await.get(&format!("/plugins/{name}")).await.json
}

/// A compiler that writes down when it begins and when it ends, and its note.
fn counting_compiler(store: &Store) -> (PathBuf, PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    let (script, note) = (store.dir().join("compiler"), store.dir().join("compiled"));
    let looma = plugins::looma_binary().display();
    let text = format!(
        "#!/bin/sh\necho begin >> {note}\n{looma} \"$@\"\ncode=$?\necho end >> {note}\nexit $code\n",
        note = note.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    (script, note)
}

/// How many compilations there were, and how many at once.
fn compilations(note: &Path) -> (usize, usize) {
    let (mut all, mut now, mut most) = (0, 0_usize, 0);
    for line in std::fs::read_to_string(note).unwrap_or_default().lines() {
        match line {
            "begin" => (all, now) = (all + 1, now + 1),
            _ => now -= 1,
        }
        most = most.max(now);
    }
    (all, most)
}

async fn start_counting() -> (Host, PathBuf) {
    let store = Store::sqlite();
    let (script, note) = counting_compiler(&store);
    let cache = store.dir().join("own-cache");
    let host = Host::start_on(store, |settings| {
        settings.plugins.compiler = Some(script);
        settings.plugins.cache = Some(cache);
    })
    .await;
    std::fs::remove_file(&note).unwrap();
    (host, note)
}

/// A file over the limit is not looked into, wherever it comes from; one that is full of nothing up to the limit is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn size_is_bounded() {
    let host = Host::start_with(|settings| settings.plugins.max_component_bytes = 2 << 20).await;
    let padded = |padding: usize| {
        let mut file = component("unreachable", CallPath::Pure);
        let section = wat::parse_str(format!("(component (@custom \"padding\" \"{}\"))", "x".repeat(padding))).unwrap();
        file.extend_from_slice(&section[8..]);
        file
    };
    let good = host.bring("unreachable", padded(1 << 20)).await;
    host.assert_well("unreachable", CallPath::Pure).await;
    let refused = host.upload(padded(3 << 20)).await.expect(413);
    assert!(message(&refused).contains("at most 2097152 bytes"), "{refused}");
    std::fs::write(file(&host, "unreachable"), padded(3 << 20)).unwrap();
    host.looma.run_task("plugins.scan").await;
    let told = plugin(&host, "unreachable").await;
    assert_eq!((&told["state"], &told["digest"]), (&json!("failed"), &good["digest"]));
    assert!(told["error"].as_str().unwrap().contains("at most 2097152 are taken"), "{told}");
    assert_eq!(host.not_well("unreachable", CallPath::Pure).await, None);
    // A file that has no end is none.
    std::os::unix::fs::symlink("/dev/zero", file(&host, "endless")).unwrap();
    host.looma.run_task("plugins.scan").await;
    host.looma.admin().await.get("/plugins/endless").await.expect(404);
    host.stop().await;
}

/// A file that was refused is not tried again until it is another, however often it is touched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_files_are_remembered() {
    let (host, note) = start_counting().await;
    let bad = Guest::read("spin-at-describe").component(CallPath::Pure, "judge");
    for _ in 0..4 {
        std::fs::remove_file(file(&host, "judge")).ok();
        std::fs::write(file(&host, "judge"), &bad).unwrap();
        host.looma.run_task("plugins.scan").await;
        let told = plugin(&host, "judge").await;
        assert_eq!((&told["state"], compilations(&note).0), (&json!("failed"), 1), "{told}");
    }
    host.stop().await;
}

/// Machine code is taken from nowhere but the host's own cache, under the host's own seal, for the very file it was made of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machine_code_is_taken_from_nobody() {
    let (host, note) = start_counting().await;
    let cache = host.looma.app().settings.plugins.cache.clone().unwrap();
    let compiled = |digest: &Value| {
        let files = std::fs::read_dir(&cache).unwrap().map(|file| file.unwrap().path());
        let of = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(digest.as_str().unwrap());
        files.filter(of).find(|path| path.extension().is_some_and(|end| end == "cwasm")).unwrap()
    };
    let one = host.bring("one", Guest::read("unreachable").component(CallPath::Pure, "one")).await;
    let other = host.bring("other", Guest::read("remember").component(CallPath::Pure, "other")).await;
    let (one_code, other_code) = (compiled(&one["digest"]), compiled(&other["digest"]));
    let refused = host.upload(std::fs::read(&one_code).unwrap()).await.expect(422);
    assert!(message(&refused).contains("not WebAssembly"), "{refused}");
    std::fs::copy(&one_code, file(&host, "native")).unwrap();
    std::fs::copy(&one_code, file(&host, "native").with_extension("cwasm")).unwrap();
    host.looma.run_task("plugins.scan").await;
    assert!(plugin(&host, "native").await["error"].as_str().unwrap().contains("not WebAssembly"));
    // Another component's code, with its own true seal, in this one's place.
    for end in ["cwasm", "cwasm.seal"] {
        std::fs::copy(other_code.with_extension(end), one_code.with_extension(end)).unwrap();
    }
    let Host { looma } = host;
    let before = compilations(&note).0;
    let host = Host { looma: looma.restart().await };
    assert_eq!(compilations(&note).0, before + 1, "what was exchanged was compiled again, and nothing else");
    host.assert_well("one", CallPath::Pure).await;
    let said = host.misdeed("one", CallPath::Pure).await;
    assert_eq!(Told::Crash("unreachable").differs(&said), None);
    host.stop().await;
}

/// In a storm of saves the last one wins, no half file is taken for a plugin, and one file at a time is compiled for a name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storms_of_saves_end_with_the_last() {
    let (host, note) = start_counting().await;
    let version = |n: usize| {
        plugins::renewed(Guest::read("unreachable").component(CallPath::Pure, "judge"), &format!("save {n}"))
    };
    let place = file(&host, "judge");
    for n in 0..100 {
        match n % 4 {
            // Written in place, half of it first.
            0 => {
                let whole = version(n);
                std::fs::write(&place, &whole[..whole.len() / 2]).unwrap();
                std::fs::write(&place, whole).unwrap();
            }
            1 => {
                let beside = place.with_extension("new");
                std::fs::write(&beside, version(n)).unwrap();
                std::fs::rename(&beside, &place).unwrap();
            }
            2 => {
                std::fs::remove_file(&place).unwrap();
                std::fs::write(&place, version(n)).unwrap();
            }
            _ => {
                let (target, link) = (place.with_extension(format!("v{n}")), place.with_extension("link"));
                std::fs::write(&target, version(n)).unwrap();
                std::os::unix::fs::symlink(&target, &link).unwrap();
                std::fs::rename(&link, &place).unwrap();
            }
        }
        tokio::task::yield_now().await;
    }
    let last = looma::wasm::cache::Digest::of(&version(99)).to_string();
    eventually("last version", async || {
        let told = plugin(&host, "judge").await;
        (told["digest"] == last && told["state"] == "active").then_some(())
    })
    .await;
    host.assert_well("judge", CallPath::Pure).await;
    let (all, at_once) = compilations(&note);
    assert!(at_once == 1 && all < 50, "{all} compilations, {at_once} at once");
    host.stop().await;
}

/// However many components come at once, four are compiled at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compilations_take_turns() {
    let (host, note) = start_counting().await;
    let names: Vec<String> = (0..8).map(|n| format!("judge-{n}")).collect();
    let brought = names.iter().map(|name| async {
        host.bring(name, Guest::read("unreachable").component(CallPath::Pure, name)).await;
    });
    futures_util::future::join_all(brought).await;
    let (all, at_once) = compilations(&note);
    assert!(all == 8 && (2..=4).contains(&at_once), "{all} compilations, {at_once} at once");
    host.stop().await;
}
