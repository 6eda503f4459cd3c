//! Running sources: ask the plugin for all it finds, then register, renew and take away.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

use super::{
    compare::{Removal, removal},
    queries,
    types::{Outcome, SOURCES, Source},
};
use crate::{
    app::App,
    db::{Json, lease},
    feed::Changes,
    ids::ServiceId,
    plugins::{PluginName, Target, TargetHealth},
    registry::{Found, FoundAs, Health, NewService},
};

/// How many services one source may find.
const MOST_FOUND: usize = 100_000;
/// How many conflicts are named.
const NAMED_CONFLICTS: usize = 20;
/// How long a replica keeps the sources to itself without renewing.
const LEASE: Duration = Duration::from_secs(60);

/// Runs every source whose time has come, if this replica is the one that does.
pub(super) async fn run_due(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    let due: Vec<_> = app.discovery.all().into_iter().filter(|source| source.is_due(now)).collect();
    let orphaned = app.registry.sources().iter().any(|name| app.discovery.find_named(name).is_none());
    if due.is_empty() && !orphaned {
        return Ok(());
    }
    let mut tx = app.db.write().await?;
    let ours = lease::take(&mut tx, "discovery.run", &app.replica, now.plus(LEASE), now).await?;
    tx.commit().await?;
    if ours {
        for source in due {
            if app.discovery.find(source.source_id.as_str()).is_some() {
                run(app, &source).await?;
            }
        }
        take_orphans(app).await?;
    }
    Ok(())
}

/// Takes away what sources had found that are there no more, in case a deletion was cut short.
async fn take_orphans(app: &App) -> anyhow::Result<()> {
    let _turn = app.discovery.running.lock().await;
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

/// Runs one source now and records what came of it. Runs never overlap on a replica.
pub(super) async fn run(app: &App, source: &Source) -> anyhow::Result<Outcome> {
    let _turn = app.discovery.running.lock().await;
    let Some(source) = app.discovery.find(source.source_id.as_str()) else {
        bail!("the source {:?} was deleted before its turn came", source.name);
    };
    let source = &*source;
    let outcome = match meet(app, source).await {
        Ok(outcome) => outcome,
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(source.name = source.name, error, "discovery source {:?} failed", source.name);
            Outcome { error: Some(error), ..Outcome::default() }
        }
    };
    let mut tx = app.db.write().await?;
    let stored = queries::set_outcome(&mut tx, &source.source_id, app.clock.now(), &outcome).await?;
    let mut changes = Changes::unaudited();
    if let Some(source) = stored {
        changes.put_quietly(SOURCES, source.source_id.0.clone(), &source);
    }
    app.feed.commit(tx, changes).await?;
    Ok(outcome)
}

/// Everything that the plugin finds, page by page; nothing is changed before the last page is there.
async fn find_all(app: &App, source: &Source) -> anyhow::Result<(BTreeMap<ServiceId, Target>, String)> {
    let plugin: PluginName = source.strategy.parse().map_err(anyhow::Error::msg)?;
    let (config, mut cursor, mut found) = (source.config_text(), None, BTreeMap::new());
    loop {
        let answer = app.plugins.discover(&plugin, &config, cursor).await?;
        for target in answer.page.targets {
            let id = ServiceId::from(target.service_id.as_str());
            if found.insert(id.clone(), target).is_some() {
                bail!("the plugin found {id} twice");
            }
        }
        ensure!(found.len() <= MOST_FOUND, "the plugin found more than {MOST_FOUND} services");
        cursor = answer.page.next;
        if cursor.is_none() {
            let by = answer.by;
            return Ok((found, format!("{} {} {}", by.name, by.version, by.digest)));
        }
    }
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
    };
    let health = match health {
        TargetHealth::Unknown => Health::Unknown,
        TargetHealth::Healthy => Health::Healthy,
        TargetHealth::Warning => Health::Warning,
        TargetHealth::Critical => Health::Critical,
    };
    Found { service, health }
}
