//! The server, its plugins, and what is known of their versions.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use looma::{
    app::App,
    clock::Clock,
    plugins::PluginName,
    run::{Running, Start},
    wasm::cache::Digest,
};
use serde_json::json;

use super::{Plan, calls::Seen, guests::Sort, reloads::Done};
use crate::{ADMIN_PASSWORD, Client, Store};

/// What a misdeed may take: much less than a good call, so that there can be many.
const HOSTILE_DEADLINE_MS: u32 = 200;
/// Versions of one plugin that an answer can be of.
const REMEMBERED: usize = 8;

/// The server and its plugins. Clones are the same.
#[derive(Clone)]
pub(super) struct Host(Arc<Inner>);

struct Inner {
    running: Running,
    admin: Client,
    plugins: Vec<Plugin>,
    ends: AtomicBool,
    seen: Mutex<Seen>,
    reloads: Mutex<Done>,
    _store: Store,
}

/// One plugin.
pub(super) struct Plugin {
    pub(super) name: PluginName,
    pub(super) sort: Sort,
    number: u32,
    /// The newest version that was seen to serve.
    serves: AtomicU32,
    /// Digests of the versions that there were last.
    versions: Mutex<VecDeque<(String, u32)>>,
}

impl Plugin {
    fn new(number: usize) -> Self {
        let sort = Sort::of(number);
        let what = match sort {
            Sort::Judge => "judge",
            Sort::Finder => "finder",
            Sort::Hostile(guest, _) => guest,
        };
        let name = format!("{what}-{number}").parse().expect("that is a name");
        let number = u32::try_from(number).expect("few plugins");
        Self { name, sort, number, serves: AtomicU32::new(0), versions: Mutex::default() }
    }

    /// What a version says of itself, which no other version and no other plugin says.
    pub(super) fn mark(&self, version: u32) -> u32 {
        self.number * 1_000_000 + version
    }

    /// A component of that version, which is known from now on, and its digest.
    pub(super) fn version(&self, version: u32) -> (Vec<u8>, String) {
        let component = self.sort.component(self.name.as_str(), self.mark(version));
        let digest = Digest::of(&component).to_string();
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.push_back((digest.clone(), version));
        if versions.len() > REMEMBERED {
            versions.pop_front();
        }
        (component, digest)
    }

    /// Which version has this digest.
    pub(super) fn version_of(&self, digest: &str) -> Option<u32> {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.iter().find(|(known, _)| known == digest).map(|(_, version)| *version)
    }

    /// The newest version that was seen to serve.
    pub(super) fn serves(&self) -> u32 {
        self.serves.load(Ordering::SeqCst)
    }

    pub(super) fn saw(&self, version: u32) {
        self.serves.fetch_max(version, Ordering::SeqCst);
    }
}

impl Host {
    /// Starts a server with the first version of each plugin in its folder.
    pub(super) async fn start(plan: &Plan) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = Store::sqlite();
        let mut settings = store.settings();
        settings.plugins.compiler = Some(plan.compiler.clone());
        // What is compiled here is needed by nobody else.
        settings.plugins.cache = None;
        let folder = settings.plugins_dir();
        std::fs::create_dir_all(&folder).expect("the folder is made");
        let plugins: Vec<Plugin> = (0..plan.plugins).map(Plugin::new).collect();
        for plugin in &plugins {
            std::fs::write(folder.join(format!("{}.wasm", plugin.name)), plugin.version(0).0)
                .expect("a file is written");
        }
        let password = Some(ADMIN_PASSWORD.to_owned());
        let start = Start { settings, clock: Clock::system(), admin_password: password };
        let running = looma::run::start(start).await.expect("the server starts");
        let admin = signed_in(&running).await;
        let hostile = plugins.iter().filter(|plugin| matches!(plugin.sort, Sort::Hostile(..)));
        for plugin in hostile {
            let grants = json!({"deadline_ms": HOSTILE_DEADLINE_MS, "memory_bytes": 16 << 20});
            admin.put(&format!("/plugins/{}/grants", plugin.name), &grants).await.expect(200);
        }
        let (ends, seen, reloads) = Default::default();
        Self(Arc::new(Inner { running, admin, plugins, ends, seen, reloads, _store: store }))
    }

    pub(super) fn app(&self) -> &App {
        &self.0.running.app
    }

    pub(super) fn plugins(&self) -> &[Plugin] {
        &self.0.plugins
    }

    /// The file that a plugin lies in.
    pub(super) fn file(&self, plugin: &Plugin) -> PathBuf {
        self.app().settings.plugins_dir().join(format!("{}.wasm", plugin.name))
    }

    /// Lets a plugin that rests be called again, as an operator does.
    pub(super) async fn wake(&self, plugin: &Plugin) {
        // A file may come in at the same moment; then it is awake.
        let _ = self.0.admin.post(&format!("/plugins/{}/enable", plugin.name), &json!({})).await;
    }

    /// Says that it is enough.
    pub(super) fn end(&self) {
        self.0.ends.store(true, Ordering::Relaxed);
    }

    pub(super) fn ends(&self) -> bool {
        self.0.ends.load(Ordering::Relaxed)
    }

    pub(super) fn seen(&self) -> Seen {
        self.note().clone()
    }

    pub(super) fn note(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reloads(&self) -> Done {
        self.note_reload().clone()
    }

    pub(super) fn note_reload(&self) -> MutexGuard<'_, Done> {
        self.0.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the server; everything else has ended.
    pub(super) async fn stop(self) {
        let inner = Arc::into_inner(self.0).expect("nobody else has it");
        inner.running.stop().await.expect("the server stops");
    }
}

async fn signed_in(running: &Running) -> Client {
    let url = format!("http://{}", running.address);
    let body = json!({"username": "admin", "password": ADMIN_PASSWORD});
    let tokens = Client::new(url.clone(), None).post("/auth/login", &body).await.expect(200);
    Client::new(url, tokens["access_token"].as_str().map(str::to_owned))
}
