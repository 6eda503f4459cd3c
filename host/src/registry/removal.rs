//! What goes for good: services that have been critical for as long as they, or the settings, say.
//!
//! The audit keeps the whole record. Nothing goes while expiry is held back, while the wall clock is in doubt, before the
//! server has had time to hear of it, or while somebody works on it or on its node; and no more at a time than a share of all,
//! because so many may have been cut off together.

use std::time::Duration;

use super::{
    Core, Health,
    index::Index,
    services::Service,
    share::share,
    writer::{self, Edit, Verdict, WriteError},
};
use crate::{app::App, clock::Timestamp, feed::Actor, ids::ServiceId};

/// How often is looked.
const EVERY: Duration = Duration::from_secs(5);
/// How long the server listens at least, after a start or a pause, before anything goes.
const LISTENS: Duration = Duration::from_secs(60);

const TASK: &str = "registry.remove";

/// Starts the task.
pub(super) fn start(app: &App) {
    let registry = app.registry.clone();
    app.tasks.every(TASK, EVERY, move || {
        let registry = registry.clone();
        async move { remove(&registry.core).await }
    });
}

async fn remove(core: &Core) -> anyhow::Result<()> {
    let over: Vec<ServiceId> = {
        let (index, now) = (core.index(), core.clock.now());
        let over = index.services.iter().filter(|(_, held)| is_over(core, &index, &held.thing, now));
        let mut over: Vec<ServiceId> = over.map(|(id, _)| id.clone()).collect();
        core.random.shuffle(&mut over);
        over.truncate(share(core, index.services.iter().count()));
        over
    };
    let protected = core.protection.lock().unwrap_or_else(std::sync::PoisonError::into_inner).active;
    if over.is_empty() || protected {
        return Ok(());
    }
    core.clock.settled()?;
    let edits: Vec<Edit<Service>> = over.iter().map(|id| removing(core, id)).collect();
    for (reply, id) in writer::write(core, &edits).await.into_iter().zip(over) {
        match reply {
            Ok(done) if done.after.is_none() => {
                tracing::info!(service.id = %id, "service {id} was critical for as long as it may be, and is removed");
            }
            Ok(_) | Err(WriteError::NotThere(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// How long it may be critical; `None`: for ever.
fn patience(set: u32, service: &Service) -> Option<Duration> {
    let after = service.deregister_after_seconds.unwrap_or(i64::from(set));
    u64::try_from(after).ok().filter(|after| *after > 0).map(Duration::from_secs)
}

fn was_critical_for(service: &Service, patience: Duration, now: Timestamp) -> bool {
    service.health_status == Health::Critical
        && !service.maintenance.enabled
        && now.since(service.health_since) >= patience
}

fn is_over(core: &Core, index: &Index, service: &Service, now: Timestamp) -> bool {
    let Some(patience) = patience(core.settings.deregister_after_seconds, service) else { return false };
    let ttl = Duration::from_secs(u64::try_from(service.ttl_seconds).unwrap_or(0));
    let listened = core.clock.uptime().saturating_sub(core.sweeps().grace);
    let node = service.node_id.as_ref().and_then(|id| index.nodes.get(id));
    let worked_on = node.is_some_and(|node| node.thing.maintenance.enabled);
    was_critical_for(service, patience, now) && listened >= LISTENS + ttl && !worked_on
}

/// Takes it away, unless it has come back since.
fn removing(core: &Core, id: &ServiceId) -> Edit<Service> {
    let set = core.settings.deregister_after_seconds;
    Edit::existing(id, Some(Actor::system(TASK)), move |row: &Service, now| {
        Ok(match patience(set, row).is_some_and(|patience| was_critical_for(row, patience, now)) {
            true => Verdict::Remove,
            false => Verdict::Keep,
        })
    })
}
