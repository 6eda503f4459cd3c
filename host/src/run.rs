//! Starting and stopping a server: opens what lasts, loads memory, starts the tasks, serves. It decides nothing.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::{
    alerts::{self, Alerts},
    app::App,
    clock::Clock,
    db::{Db, DbUrl},
    discovery::{self, Discovery},
    feed::{self, Feed},
    gateway::dns,
    http::{auth::Auth, idempotency, request::Counts, router, serve},
    ids::{Ids, ReplicaId},
    lifecycle::Tasks,
    metrics::{self, Metrics},
    notify::{self, Notify},
    plugins,
    registry::{self, Registry},
    secrets,
    settings::{self, Settings, files},
    system,
    talent::Talent,
    users::{self, Users},
};

/// How long the end may take before it is forced.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a start needs beside settings.
pub struct Start {
    /// The settings.
    pub settings: Settings,
    /// The time.
    pub clock: Clock,
    /// The first administrator's password; a random one is made when absent.
    pub admin_password: Option<String>,
}

/// A server that runs.
pub struct Running {
    /// Its handles.
    pub app: App,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it answers DNS, if that is switched on.
    pub dns: Option<SocketAddr>,
    /// What keeps others from the same file of SQLite.
    _claim: Option<files::Claim>,
}

/// Starts a server; it serves when this returns.
pub async fn start(start: Start) -> anyhow::Result<Running> {
    let Start { settings, clock, admin_password } = start;
    files::make_private_folder(&settings.server.data)?;
    let claim = match settings.database_url()? {
        DbUrl::Sqlite(_) => Some(files::claim(&settings.server.data)?),
        DbUrl::Postgres(_) => None,
    };
    let app = open(settings, clock).await?;
    load(&app).await?;
    let file = app.settings.server.data.join("admin-password");
    let written = users::ensure_administrator(&app.db, &app.feed, &app.ids, &app.clock, admin_password, &file).await?;
    if let Some(file) = written {
        let file = file.display();
        tracing::warn!(%file, "made the user admin; its password is in {file}, which only you can read");
    }
    system::beat(&app).await?;
    alerts::offer_states(&app);
    plugins::scan_at_start(&app).await?;
    start_tasks(&app);
    let listener = TcpListener::bind(app.settings.server.listen).await;
    let listener = listener.with_context(|| format!("could not listen on {}", app.settings.server.listen))?;
    let address = listener.local_addr()?;
    let sockets = dns::bind(&app.settings.dns).await?;
    let dns = sockets.as_ref().map(|sockets| sockets.address);
    if let Some(sockets) = sockets {
        dns::serve(&app, sockets)?;
    }
    serve::serve(&app.tasks, router::router(app.clone()), listener, limits(&app.settings.server));
    Ok(Running { app, address, dns, _claim: claim })
}

fn limits(settings: &settings::Server) -> serve::Limits {
    serve::Limits {
        first_request: Duration::from_secs(settings.header_timeout_seconds),
        next_request: Duration::from_secs(settings.idle_timeout_seconds),
        connections: settings.connections,
    }
}

async fn open(settings: Settings, clock: Clock) -> anyhow::Result<App> {
    let ids = Ids::new(clock.clone());
    let db = Db::open(&settings.database_url()?, settings.database.connections).await?;
    let replica = ReplicaId(ids.next());
    let feed = Feed::new(db.clone(), clock.clone(), ids.clone(), replica.clone());
    let key_file = settings.auth.signing_key_file.clone();
    let key_file = key_file.unwrap_or_else(|| settings.server.data.join("signing-key"));
    let auth = Auth::new(clock.clone(), &feed, files::signing_key(&key_file, || ids.random())?);
    let secrets = secrets::open(&settings, &feed, &ids)?;
    let opening = plugins::Opening { settings: &settings, db: &db, feed: &feed, clock: &clock, ids: &ids };
    let plugins = plugins::open(&opening, secrets.secrets())?;
    let users = Users::new(&feed, &auth, &clock, &ids, settings.auth.failures_per_minute)?;
    let base = registry::Base { db: &db, feed: &feed, clock: &clock, ids: &ids, settings: &settings.registry };
    let registry = Registry::new(&base);
    Ok(App {
        tasks: Tasks::new(clock.clone()),
        counts: Counts::default(),
        dns: dns::Counts::default(),
        ids,
        replica,
        metrics: Metrics::new(&db, &clock, settings.metrics.clone()),
        registry,
        alerts: Alerts::new(&feed, &plugins),
        notify: Notify::new(&feed, &plugins),
        discovery: Discovery::new(&feed, &plugins),
        secrets,
        plugins,
        talent: Talent::new(&feed),
        settings: Arc::new(settings),
        clock,
        db,
        feed,
        auth,
        users,
    })
}

/// Fills memory from one moment of the database, and begins the feed there.
async fn load(app: &App) -> anyhow::Result<()> {
    let mut moment = app.db.snapshot().await?;
    let revision = app.feed.stored_head(&mut moment).await?;
    users::load(&mut moment, &app.auth).await?;
    secrets::load(&mut moment, &app.secrets).await?;
    plugins::load(&mut moment, &app.plugins).await?;
    registry::load(&mut moment, &app.registry).await?;
    metrics::load(&mut moment, &app.metrics).await?;
    notify::load(&mut moment, &app.notify, &app.plugins).await?;
    alerts::load(&mut moment, &app.alerts, &app.plugins).await?;
    discovery::load(&mut moment, &app.discovery, &app.plugins).await?;
    app.feed.start(revision).await;
    Ok(())
}

fn start_tasks(app: &App) {
    let seconds = Duration::from_secs;
    let tasks = &app.tasks;
    feed::start(&app.feed, tasks);
    let (db, clock) = (app.db.clone(), app.clock.clone());
    tasks.every("http.prune", seconds(3600), move || {
        let (db, clock) = (db.clone(), clock.clone());
        async move { idempotency::prune(&db, &clock).await }
    });
    let db = app.db.clone();
    tasks.every("db.checkpoint", Duration::from_millis(250), move || {
        let db = db.clone();
        async move { Ok(db.checkpoint().await?) }
    });
    system::start(app);
    users::start(app);
    secrets::start(app);
    plugins::start(app);
    registry::start(app);
    metrics::start(app);
    notify::start(app);
    alerts::start(app);
    discovery::start(app);
}

impl Running {
    /// Stops in two stages: asks, waits for what runs, then closes the database; after 30 s it waits no more.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.app.tasks.stop();
        let finished = tokio::time::timeout(PATIENCE, self.app.tasks.finished()).await;
        system::leave(&self.app).await?;
        self.app.db.close().await;
        finished.context("some of the work did not end in 30 s")
    }
}

/// Serves until a signal comes or a task breaks.
pub async fn run(settings: Settings, ready: impl FnOnce(&Running) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let admin_password = settings::admin_password();
    let running = start(Start { settings, clock: Clock::system(), admin_password }).await?;
    ready(&running)?;
    let mut broken = None;
    tokio::select! {
        signal = signal() => signal?,
        name = running.app.tasks.broken() => broken = Some(name),
    }
    tracing::info!("stopping: finishing what runs");
    tokio::select! {
        stopped = running.stop() => stopped?,
        again = signal() => {
            again?;
            anyhow::bail!("a second signal came: stopped at once");
        }
    }
    match broken {
        Some(task) => anyhow::bail!("task {task} broke"),
        None => Ok(()),
    }
}

/// Waits for one of the signals that end a process.
pub async fn signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
