//! What the plugin domain does by itself: loads at the start, watches the folder, follows other replicas, forgets what expired.

use std::{collections::BTreeMap, sync::PoisonError, time::Duration};

use futures_util::{
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt as _},
};

use super::{
    Kv, PluginName, PluginSettings, Plugins, Secrets, Wish,
    grants::{Grants, GrantsText},
    keeper,
    outside::Outside,
    queries, records, refusal,
    rollout::{self, keep},
    routes::GRANTS,
    watch::{self, Occasion},
};
use crate::{
    app::App,
    clock::Clock,
    db::{AsConn, Db, Json},
    feed::{Change, Feed},
    ids::Ids,
    settings::{self, Settings, files},
    wasm::{
        compile::{CompileLimits, Compiler},
        engine::Slots,
        limits::Limits,
    },
};

/// What the plugin domain of a server stands on.
pub struct Opening<'a> {
    /// What was set.
    pub settings: &'a Settings,
    /// The database.
    pub db: &'a Db,
    /// The change feed.
    pub feed: &'a Feed,
    /// The time.
    pub clock: &'a Clock,
    /// Where randomness comes from.
    pub ids: &'a Ids,
}

/// Opens the plugin domain of a server, with nothing loaded yet.
pub fn open(opening: &Opening<'_>, secrets: &Secrets) -> anyhow::Result<Plugins> {
    let Opening { settings, db, feed, clock, ids } = *opening;
    let own = &settings.plugins;
    let exe = match &own.compiler {
        Some(exe) => exe.clone(),
        None => settings::this_executable()?,
    };
    let limits = CompileLimits { cpu: Duration::from_secs(own.compile_seconds), ..CompileLimits::default() };
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let cache = own.cache.clone().unwrap_or_else(|| settings.server.data.join("plugin-cache"));
    files::make_private_folder(&cache)?;
    files::make_private_folder(&settings.plugins_dir())?;
    let plugins = Plugins::start_with(
        PluginSettings {
            cache,
            fresh_key: ids.random(),
            compiler: Compiler::Child { exe, limits },
            clock: clock.clone(),
            secrets: secrets.clone(),
            kv: Kv::Database(db.clone()),
            slots: Slots::default(),
            threads: own.threads.unwrap_or((cores * 2).max(4)).max(2),
            memory_bytes: usize::try_from(own.total_memory_bytes).unwrap_or(usize::MAX),
            max_bytes: usize::try_from(own.max_component_bytes).unwrap_or(usize::MAX),
            limits: Limits {
                memory_bytes: usize::try_from(own.memory_bytes).unwrap_or(usize::MAX),
                deadline: Duration::from_millis(own.deadline_ms),
                ..Limits::default()
            },
        },
        Outside::open(settings, clock, ids)?,
    )?;
    let serving = plugins.clone();
    feed.on(keeper::SERVING, move |change| keeper::apply(&serving, change));
    let granted = plugins.clone();
    feed.on(GRANTS, move |change| apply_grants(&granted, change));
    let moved = plugins.clone();
    feed.on(keep::CANDIDATES, move |change| keep::apply(&moved, change));
    let told = plugins.clone();
    feed.on(keep::POLICIES, move |change| keep::apply_policy(&told, change));
    // What people see is made when they ask; the topic is there for those who watch.
    feed.on(keeper::PLUGINS, |_| {});
    Ok(plugins)
}

/// Loads grants and plugins from the database, as `on` sees it.
pub async fn load(on: &mut dyn AsConn, plugins: &Plugins) -> anyhow::Result<()> {
    for (name, Json(grants)) in queries::all_grants(on).await? {
        grant(plugins, &name, &grants);
    }
    keeper::load(on, plugins).await?;
    keep::load(on, plugins).await
}

/// Takes what lies in the folder, before the server serves.
pub async fn scan_at_start(app: &App) -> anyhow::Result<()> {
    watch::scan(app, Occasion::Start).await
}

/// Starts what it does by itself.
pub fn start(app: &App) {
    let own = app.clone();
    app.tasks.every("plugins.scan", Duration::from_secs(60), move || {
        let app = own.clone();
        async move { watch::scan(&app, Occasion::Later).await }
    });
    let own = app.clone();
    app.tasks.every("plugins.expire", Duration::from_secs(60), move || {
        let app = own.clone();
        async move {
            let now = app.clock.settled()?;
            let mut tx = app.db.write().await?;
            queries::kv_expire(&mut tx, now).await?;
            Ok(tx.commit().await?)
        }
    });
    let plugins = app.plugins.clone();
    app.tasks.every("plugins.trim", Duration::from_secs(30), move || {
        let plugins = plugins.clone();
        async move {
            plugins.slots().iter().for_each(|slot| slot.trim());
            Ok(())
        }
    });
    rollout::worker::start(app);
    app.tasks.spawn("plugins.watch", watch::watch(app.clone()));
    app.tasks.spawn("plugins.follow", follow(app.clone()));
    app.tasks.spawn_last("plugins.record", records::write(app.clone()));
}

/// Loads what other replicas brought, and writes down what happened here by itself; what fails is tried again after a pause that
/// grows. One plugin's wish waits for no other's.
async fn follow(app: App) {
    let wished = app.plugins.0.wished.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(mut wished) = wished else { return };
    let mut under_way: FuturesUnordered<BoxFuture<'_, (Wish, anyhow::Result<()>)>> = FuturesUnordered::new();
    let mut failed: BTreeMap<Wish, Failed> = BTreeMap::new();
    loop {
        let next = failed.values().map(|failed| failed.again_at).min();
        tokio::select! {
            Some(wish) = wished.recv() => under_way.push(Box::pin(fulfil(&app, wish))),
            Some((wish, done)) = under_way.next(), if !under_way.is_empty() => match done {
                Ok(()) => drop(failed.remove(&wish)),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), ?wish, "could not follow a change of a plugin, trying again");
                    let tries = failed.get(&wish).map_or(0, |failed| failed.tries) + 1;
                    failed.insert(wish, Failed { tries, again_at: app.clock.uptime() + refusal::pause(tries) });
                }
            },
            () = until(&app, next) => {
                let now = app.clock.uptime();
                for (wish, failed) in &mut failed {
                    if failed.again_at <= now {
                        failed.again_at = Duration::MAX;
                        under_way.push(Box::pin(fulfil(&app, wish.clone())));
                    }
                }
            }
        }
    }
}

/// A wish that was not fulfilled yet.
struct Failed {
    tries: u32,
    /// By `Clock::uptime`; never while it is being tried.
    again_at: Duration,
}

async fn fulfil(app: &App, wish: Wish) -> (Wish, anyhow::Result<()>) {
    let done = match &wish {
        Wish::Follow(name) => keeper::follow(app, name).await,
        Wish::Note(name, turn) => keeper::note(app, name, *turn).await,
    };
    (wish, done)
}

/// Waits until `at` by `Clock::uptime`, or for ever.
async fn until(app: &App, at: Option<Duration>) {
    match at.filter(|at| *at < Duration::MAX) {
        Some(at) => app.clock.sleep(at.saturating_sub(app.clock.uptime())).await,
        None => std::future::pending().await,
    }
}

fn apply_grants(plugins: &Plugins, change: &Change) {
    if let Some(grants) = change.read::<GrantsText>() {
        grant(plugins, &change.key, &grants);
    }
}

fn grant(plugins: &Plugins, name: &str, grants: &GrantsText) {
    match (name.parse::<PluginName>(), Grants::parse(grants)) {
        (Ok(name), Ok(grants)) => plugins.set_grants(&name, grants),
        (_, Err(problems)) => {
            tracing::error!(
                plugin.name = name,
                ?problems,
                "stored grants of plugin {name} cannot be read, none are in force"
            );
        }
        (Err(error), _) => tracing::error!(plugin.name = name, error, "stored grants are for no plugin"),
    }
}
