//! Running sources: ask the plugin for all it finds, then register, renew and take away.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};

use super::{
    compare::{Removal, removal},
    queries, turn,
    types::{Outcome, SOURCES, Source},
};
use crate::{
    app::App,
    db::{self, Json},
    feed::Changes,
    ids::ServiceId,
    plugins::{PluginName, Target, TargetHealth},
    registry::{Found, FoundAs, Health, NewService},
};

/// How many services one source may find.
const MOST_FOUND: usize = 100_000;
/// How many bytes these may have together.
const MOST_BYTES: usize = 64 << 20;
/// How many pages one run reads: a plugin may say without end that there is one more.
const MOST_PAGES: usize = 1_000;
/// How many conflicts are named.
const NAMED_CONFLICTS: usize = 20;

/// Why a source runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody asked for it.
    Asked,
    /// Its time has come, as far as it is known here.
    Due,
}

/// Why a source did not run, or what came of a run is not recorded.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoRun {
    /// One run at a time.
    #[error("a run of this source is under way")]
    UnderWay,
    /// It was deleted.
    #[error("this source is not there any more")]
    Gone,
    /// The lease ran out before it could be renewed.
    #[error("another replica has taken over a run of this source that could not be kept up here")]
    Lost,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] db::DbError),
}

/// Runs every source whose time has come, unless another replica does.
pub(super) async fn run_due(app: &App) -> anyhow::Result<()> {
    for source in app.discovery.due(&app.clock) {
        match run(app, &source, Why::Due).await {
            Ok(_) | Err(NoRun::UnderWay | NoRun::Gone) => {}
            Err(why @ NoRun::Lost) => tracing::warn!(source.name = source.name, "{why}"),
            Err(NoRun::Db(error)) => return Err(error.into()),
        }
    }
    take_orphans(app).await
}

/// Takes away what sources had found that are there no more: a deletion was cut short, or a run ended after it.
async fn take_orphans(app: &App) -> anyhow::Result<()> {
    for name in app.registry.sources() {
        if app.discovery.find_named(&name).is_none() {
            take_away(app, &name).await?;
        }
    }
    Ok(())
}

/// Takes away everything that the source of this name has found.
pub(super) async fn take_away(app: &App, name: &str) -> anyhow::Result<()> {
    for service in app.registry.found_by(name) {
        app.registry.deregister_found(name, &service.service_id).await?;
    }
    Ok(())
}

/// The source as it is stored, once its lease is taken.
async fn begin(app: &App, known: &Source, why: Why) -> Result<Source, NoRun> {
    let mut tx = app.db.write().await?;
    if !turn::take(&mut tx, app, &known.source_id).await? {
        return Err(NoRun::UnderWay);
    }
    let source = queries::find(&mut tx, known.source_id.as_str()).await?.ok_or(NoRun::Gone)?;
    if why == Why::Due && source.last_run_at != known.last_run_at {
        // Another replica has just run it.
        return Err(NoRun::UnderWay);
    }
    tx.commit().await?;
    Ok(source)
}

/// Runs one source now and records what came of it.
pub(super) async fn run(app: &App, known: &Source, why: Why) -> Result<Outcome, NoRun> {
    let _turn = app.discovery.try_turn(&known.source_id).ok_or(NoRun::UnderWay)?;
    let source = &begin(app, known, why).await?;
    let met = tokio::select! {
        met = meet(app, source) => met,
        () = turn::keep(app, &source.source_id) => return Err(NoRun::Lost),
    };
    let outcome = match met {
        Ok(outcome) => outcome,
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(source.name = source.name, error, "discovery source {:?} failed", source.name);
            Outcome { error: Some(error), ..Outcome::default() }
        }
    };
    let mut tx = app.db.write().await?;
    if !turn::give_up(&mut tx, app, &source.source_id).await? {
        return Err(NoRun::Lost);
    }
    let stored = queries::set_outcome(&mut tx, &source.source_id, app.clock.now(), &outcome).await?;
    let mut changes = Changes::unaudited();
    if let Some(source) = &stored {
        changes.put_quietly(SOURCES, source.source_id.0.clone(), source);
    }
    app.feed.commit(tx, changes).await?;
    if let Some(source) = &stored {
        app.discovery.saw_run(source, &app.clock);
    }
    Ok(outcome)
}

/// Everything that the plugin finds, page by page; nothing is changed before the last page is there.
async fn find_all(app: &App, source: &Source) -> anyhow::Result<(BTreeMap<ServiceId, Target>, String)> {
    let plugin: PluginName = source.strategy.parse().map_err(anyhow::Error::msg)?;
    let (config, mut cursor, mut found) = (source.config_text(), None, BTreeMap::new());
    let mut bytes = 0;
    for _ in 0..MOST_PAGES {
        let answer = app.plugins.discover(&plugin, &config, cursor).await?;
        for target in answer.page.targets {
            bytes += size(&target);
            let id = ServiceId::from(target.service_id.as_str());
            if found.insert(id.clone(), target).is_some() {
                bail!("the plugin found {id} twice");
            }
        }
        ensure!(found.len() <= MOST_FOUND, "the plugin found more than {MOST_FOUND} services");
        ensure!(bytes <= MOST_BYTES, "the plugin found services of more than {MOST_BYTES} bytes");
        cursor = answer.page.next;
        if cursor.is_none() {
            let by = answer.by;
            return Ok((found, format!("{} {} {}", by.name, by.version, by.digest)));
        }
    }
    bail!("the plugin has more than {MOST_PAGES} pages")
}

fn size(target: &Target) -> usize {
    let Target { service_id, service_name, service_type, url, node_id, health: _, metadata } = target;
    let own = [service_id, service_name, service_type, url].map(String::len).iter().sum::<usize>();
    let metadata = metadata.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    own + metadata + node_id.as_ref().map_or(0, String::len)
}

async fn meet(app: &App, source: &Source) -> anyhow::Result<Outcome> {
    let (found, plugin) = find_all(app, source).await?;
    let mut outcome = Outcome { found: found.len(), plugin: Some(plugin), ..Outcome::default() };
    let before: BTreeSet<ServiceId> =
        app.registry.found_by(&source.name).iter().map(|service| service.service_id.clone()).collect();
    let now: BTreeSet<ServiceId> = found.keys().cloned().collect();
    for (id, target) in found {
        let found = as_service(target);
        let met = app.registry.register_found(&source.name, found).await;
        match met.with_context(|| format!("could not register {id}"))? {
            FoundAs::New => outcome.registered += 1,
            FoundAs::Changed => outcome.updated += 1,
            FoundAs::Same => {}
            FoundAs::Theirs => {
                outcome.conflict_count += 1;
                if outcome.conflicts.len() < NAMED_CONFLICTS {
                    outcome.conflicts.push(id.0);
                }
            }
        }
    }
    match removal(&before, &now, source.max_removed_share) {
        Removal::Guarded(why) => outcome.guarded = Some(why),
        Removal::Take(gone) => {
            for id in gone {
                outcome.removed += usize::from(app.registry.deregister_found(&source.name, &id).await?);
            }
        }
    }
    Ok(outcome)
}

/// A target as the registry takes it: it lives until a run no longer finds it.
fn as_service(target: Target) -> Found {
    let Target { service_id, service_name, service_type, url, node_id, health, metadata } = target;
    let service = NewService {
        service_id: service_id.into(),
        service_name,
        service_type,
        service_url: url,
        node_id: node_id.map(Into::into),
        cluster_id: None,
        capabilities: Json::default(),
        config: Json::default(),
        tags: Json(metadata.into_iter().collect()),
        weight: 100,
        ttl_seconds: Some(0),
        check: None,
        deregister_after_seconds: None,
    };
    let health = match health {
        TargetHealth::Unknown => Health::Unknown,
        TargetHealth::Healthy => Health::Healthy,
        TargetHealth::Warning => Health::Warning,
        TargetHealth::Critical => Health::Critical,
    };
    Found { service, health }
}
