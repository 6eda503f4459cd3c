//! A server of a test's own.

use std::{sync::Arc, time::Duration};

use looma::{
    app::App,
    clock::{Clock, ManualClock, Timestamp},
    http::auth::Role,
    lifecycle::TaskStatus,
    run::{Running, Start},
    settings::Settings,
};
use serde_json::json;

use crate::{client::Client, eventually, plugins, postgres, root};

/// The password of the user `admin` in tests.
pub const ADMIN_PASSWORD: &str = "correct-horse-battery-staple";

/// Where a test's data is. It outlives a server, so that a test can start another on it.
#[derive(Clone)]
pub struct Store {
    dir: Arc<tempfile::TempDir>,
    url: Option<String>,
}

impl Store {
    /// A folder with a file of SQLite.
    pub fn sqlite() -> Self {
        Self { dir: Arc::new(tempfile::tempdir().expect("a folder is made")), url: None }
    }

    /// A database of PostgreSQL, and a folder for the rest; `None` where there is no PostgreSQL.
    pub async fn postgres() -> Option<Self> {
        let url = postgres::fresh().await?;
        Some(Self { url: Some(url), ..Self::sqlite() })
    }

    /// The same database with another folder, as another machine has it.
    pub fn beside(&self) -> Self {
        Self { url: self.url.clone(), ..Self::sqlite() }
    }

    /// The folder.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// The URL of the database, where it is not the file in the folder.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Settings for a server on it, on a free port.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        settings.server.listen = ([127, 0, 0, 1], 0).into();
        settings.server.data = self.dir.path().to_owned();
        settings.database.url.clone_from(&self.url);
        settings.database.connections = 4;
        // This binary is no `looma`, and what one test compiled is good for the next.
        settings.plugins.compiler = Some(plugins::looma_binary().to_owned());
        settings.plugins.cache = Some(root().join("target/plugin-cache"));
        settings
    }
}

/// A server that runs, its clock, and clients for it.
pub struct TestServer {
    /// The server.
    pub running: Running,
    /// Its clock, which stands still until it is moved.
    pub clock: Arc<ManualClock>,
    store: Store,
    admin: tokio::sync::OnceCell<Client>,
    operator: tokio::sync::OnceCell<Client>,
    viewer: tokio::sync::OnceCell<Client>,
}

impl TestServer {
    /// Starts one at 2026-01-01.
    pub async fn start(store: Store) -> Self {
        let settings = store.settings();
        Self::start_with(store, settings).await
    }

    /// Starts one with other settings.
    pub async fn start_with(store: Store, settings: Settings) -> Self {
        Self::start_at(store, settings, Timestamp::parse("2026-01-01T00:00:00Z").expect("that is a time")).await
    }

    /// Starts one at another time.
    pub async fn start_at(store: Store, settings: Settings, at: Timestamp) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (clock, manual) = Clock::manual(at);
        let start = Start { settings, clock, admin_password: Some(ADMIN_PASSWORD.to_owned()) };
        let running = looma::run::start(start).await.expect("the server starts");
        let (admin, operator, viewer) = Default::default();
        Self { running, clock: manual, store, admin, operator, viewer }
    }

    /// Its handles, for what a test cannot do from outside.
    pub fn app(&self) -> &App {
        &self.running.app
    }

    /// Where its data is.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// A client without a token.
    pub fn anonymous(&self) -> Client {
        Client::new(self.url(), None)
    }

    /// A client with a token of one's own.
    pub fn with_token(&self, token: &str) -> Client {
        Client::new(self.url(), Some(token.to_owned()))
    }

    /// The first administrator.
    pub async fn admin(&self) -> &Client {
        self.admin.get_or_init(|| async { self.sign_in("admin", ADMIN_PASSWORD).await }).await
    }

    /// An operator.
    pub async fn operator(&self) -> &Client {
        self.operator.get_or_init(|| self.make(Role::Operator)).await
    }

    /// A viewer.
    pub async fn viewer(&self) -> &Client {
        self.viewer.get_or_init(|| self.make(Role::Viewer)).await
    }

    async fn make(&self, role: Role) -> Client {
        let user = json!({"username": format!("the-{role}"), "password": ADMIN_PASSWORD, "role": role});
        self.admin().await.post("/users", &user).await.expect(201);
        self.sign_in(&format!("the-{role}"), ADMIN_PASSWORD).await
    }

    /// Signs in and gives a client with the access token.
    pub async fn sign_in(&self, username: &str, password: &str) -> Client {
        let body = json!({"username": username, "password": password});
        let tokens = self.anonymous().post("/auth/login", &body).await.expect(200);
        let token = tokens["access_token"].as_str().expect("there is a token");
        self.with_token(token)
    }

    /// Loads bundled plugins, as somebody does who copies them into the plugin folder.
    pub async fn load_plugins(&self, names: &[&str]) {
        let folder = self.app().settings.plugins_dir();
        for name in names {
            let (new, file) = (folder.join(format!(".{name}.new")), folder.join(format!("{name}.wasm")));
            std::fs::write(&new, plugins::component(name)).expect("the folder can be written");
            std::fs::rename(&new, &file).expect("the file can be renamed");
        }
        self.run_task("plugins.scan").await;
        for name in names {
            let plugin = self.admin().await.get(&format!("/plugins/{name}")).await.expect(200);
            assert_eq!(plugin["state"], "active", "{plugin}");
        }
    }

    /// Lets time pass. Tasks whose time has come run by themselves; `run_task` waits for one.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Lets seconds pass one by one and sweeps the leases in each, as a server does that was not stopped meanwhile.
    pub async fn live(&self, seconds: u64) {
        for _ in 0..seconds {
            self.advance(Duration::from_secs(1));
            self.run_task("registry.flush").await;
            self.run_task("registry.expire").await;
        }
    }

    /// The same, with the checks of services that fall in each second.
    pub async fn live_checked(&self, seconds: u64) {
        for _ in 0..seconds {
            self.advance(Duration::from_secs(1));
            self.run_task("registry.check-turn").await;
            self.checks_end().await;
            self.run_task("registry.flush").await;
            self.run_task("registry.expire").await;
        }
    }

    /// Waits until every check of a service that is due has been done.
    pub async fn checks_end(&self) {
        eventually("end of the checks", async || {
            let checks = self.app().registry.counts().checks;
            (checks.waiting + checks.under_way == 0).then_some(())
        })
        .await;
    }

    /// Runs a periodic task and waits for it; it must not fail.
    pub async fn run_task(&self, name: &str) -> TaskStatus {
        let status = self.app().tasks.run_now(name).await.expect("there is such a task");
        assert_eq!(status.last_error, None, "task {name}");
        status
    }

    /// Ends it; fails if a task had broken.
    pub async fn stop(self) {
        self.running.stop().await.expect("the server stops");
    }

    /// Ends it and starts another on the same data, at the same time.
    pub async fn restart(self) -> Self {
        let at = self.app().clock.now();
        let (store, settings) = (self.store.clone(), (*self.app().settings).clone());
        self.stop().await;
        Self::start_at(store, settings, at).await
    }
}
