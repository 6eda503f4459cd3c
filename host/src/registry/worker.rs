//! What the registry does by itself: writes heartbeats, and ends the leases of what fell silent.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{
    Core, Health, Protection, Registry, TICK,
    index::{Held, Index},
    lease::Lease,
    member::Member,
    nodes::Node,
    services::Service,
    writer::{self, Edit, Verdict},
};
use crate::{app::App, clock::Timestamp, ids::ServiceId};

/// A sweep that comes this late shows that the process stood still: heartbeats may wait to be read.
const PAUSE: Duration = Duration::from_secs(6);

/// What one sweep leaves for the next.
#[derive(Default)]
pub(super) struct Sweeps {
    /// No lease ends sooner than its time-to-live after this.
    pub(super) grace: Duration,
    last: Duration,
}

impl Sweeps {
    /// Begins at `uptime`: every lease is new.
    pub(super) fn begin(&mut self, uptime: Duration) {
        (self.grace, self.last) = (uptime, uptime);
    }
}

/// How many of `live` leases one sweep may end.
fn share(core: &Core, live: usize) -> usize {
    if live < core.settings.min_protected {
        return live;
    }
    // The share is 0 to 1: the settings are checked.
    let per_mille = (core.settings.max_expired_share * 1000.0).round() as usize;
    (live * per_mille / 1000).max(1)
}

/// Starts the tasks.
pub(super) fn start(app: &App) {
    let registry = app.registry.clone();
    app.tasks.every("registry.flush", TICK, move || {
        let registry = registry.clone();
        async move { flush(&registry.core).await }
    });
    let registry = app.registry.clone();
    app.tasks.every("registry.expire", TICK, move || {
        let registry = registry.clone();
        async move { expire(&registry).await }
    });
    let registry = app.registry.clone();
    app.tasks.at_the_end("registry.last-flush", async move {
        if let Err(error) = flush(&registry.core).await {
            tracing::warn!(error = format!("{error:#}"), "could not write the last heartbeats");
        }
    });
}

/// Writes the heartbeats that came since the last time.
async fn flush(core: &Core) -> anyhow::Result<()> {
    flush_all::<Service>(core).await?;
    flush_all::<Node>(core).await
}

async fn flush_all<T: Member>(core: &Core) -> anyhow::Result<()> {
    let taken: Vec<(T::Id, Timestamp, Arc<Lease>)> = {
        let index = core.index();
        let all = T::members(&index).iter();
        all.filter_map(|(id, held)| Some((id.clone(), held.lease.take_unwritten()?, held.lease.clone()))).collect()
    };
    if taken.is_empty() {
        return Ok(());
    }
    let beats: Vec<(T::Id, Timestamp)> = taken.iter().map(|(id, at, _)| (id.clone(), *at)).collect();
    let wrote = async {
        let mut tx = core.db.write().await?;
        T::flush(&mut tx, &beats).await?;
        tx.commit().await
    };
    let wrote = wrote.await;
    for (_, at, lease) in taken {
        match wrote {
            Ok(()) => lease.written(at),
            Err(_) => lease.unwritten(),
        }
    }
    Ok(wrote?)
}

/// Ends the leases that ran out: those of nodes, then those of services, and of services whose node fell silent.
async fn expire(registry: &Registry) -> anyhow::Result<()> {
    let core = &registry.core;
    if let Some(now) = begin(core) {
        end(core, overdue::<Node>(core, now)).await?;
        let mut services = overdue::<Service>(core, now);
        services.extend(orphans(core, now));
        let outcome = end(core, services).await?;
        protect(core, &outcome);
    }
    restore(core).await
}

/// Begins a sweep, unless the last one was in this very second.
fn begin(core: &Core) -> Option<Duration> {
    let now = core.clock.uptime();
    let mut sweeps = core.sweeps();
    let late = now.saturating_sub(sweeps.last);
    if late < TICK {
        return None;
    }
    sweeps.last = now;
    if late > PAUSE {
        sweeps.grace = now;
        let seconds = late.as_secs();
        tracing::warn!(seconds, "nothing was swept for {seconds} s: every lease begins anew");
    }
    Some(now)
}

/// Something whose lease ran out, and why that is told.
struct Overdue<T: Member> {
    id: T::Id,
    reason: String,
}

fn overdue<T: Member>(core: &Core, now: Duration) -> Vec<Overdue<T>> {
    let index = core.index();
    let ended = core.wheel::<T>().turn(now, |id| core.deadline::<T>(&index, id));
    let reason = |id: &T::Id| {
        let ttl = T::members(&index).get(id).map_or(0, |held| held.thing.ttl_seconds());
        format!("no heartbeat came within {ttl} s")
    };
    ended.into_iter().map(|id| Overdue { reason: reason(&id), id }).collect()
}

/// What one sweep did.
struct Outcome {
    wanted: usize,
    allowed: usize,
    live: usize,
}

/// Ends leases, as many as may end at once; the others are looked at again by the next sweep.
async fn end<T: Member>(core: &Core, overdue: Vec<Overdue<T>>) -> anyhow::Result<Outcome> {
    if overdue.is_empty() {
        return Ok(Outcome { wanted: 0, allowed: 0, live: 0 });
    }
    let ids: Vec<T::Id> = overdue.iter().map(|overdue| overdue.id.clone()).collect();
    let ended = end_some(core, overdue).await;
    // Whatever did not end has a lease that goes on, or a turn in the next second.
    for id in ids {
        core.arm::<T>(&id);
    }
    ended
}

async fn end_some<T: Member>(core: &Core, mut overdue: Vec<Overdue<T>>) -> anyhow::Result<Outcome> {
    let heard = learn::<T>(core, &overdue).await?;
    overdue.retain(|overdue| !heard.contains(&overdue.id));
    let wanted = overdue.len();
    core.random.shuffle(&mut overdue);
    let live = T::members(&core.index()).iter().filter(|(_, held)| held.thing.health() != Health::Critical).count();
    let allowed = wanted.min(share(core, live));
    let edits: Vec<Edit<T>> = {
        let index = core.index();
        overdue.into_iter().take(allowed).filter_map(|overdue| ending(&index, overdue)).collect()
    };
    for reply in writer::write(core, &edits).await {
        match reply {
            Ok(done) if done.change != writer::Change::None => drop(core.expired.fetch_add(1, Relaxed)),
            Ok(_) | Err(writer::WriteError::NotThere(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Outcome { wanted, allowed, live })
}

/// Reads what other replicas heard, and gives those that they have heard of since.
async fn learn<T: Member>(core: &Core, overdue: &[Overdue<T>]) -> anyhow::Result<std::collections::HashSet<T::Id>> {
    let ids = overdue.iter().map(|overdue| overdue.id.clone()).collect();
    let mut reader = core.db.read().await?;
    let stored = T::beats(&mut reader, ids).await?;
    drop(reader);
    let (index, uptime) = (core.index(), core.clock.uptime());
    let heard = stored.into_iter().filter_map(|(id, at)| {
        let lease = &T::members(&index).get(&id)?.lease;
        let news = at > lease.stored();
        lease.learn(at, uptime);
        news.then_some(id)
    });
    Ok(heard.collect())
}

/// Marks it, unless the database has heard of it since, by way of another replica or of this one.
fn ending<T: Member>(index: &Index, Overdue { id, reason }: Overdue<T>) -> Option<Edit<T>> {
    let lease = T::members(index).get(&id)?.lease.clone();
    let (known, beaten) = (lease.stored(), lease.beat());
    Some(Edit::existing(&id, None, move |row: &T, now| {
        // A heartbeat may have come while this waited for its turn.
        let heard = row.last_beat() > known || lease.beat() > beaten;
        Ok(match row.health() {
            Health::Critical => Verdict::Keep,
            _ if heard => Verdict::Keep,
            _ => Verdict::Transition(row.clone().silent(&reason, now)),
        })
    }))
}

fn silence_of(node: &Node) -> String {
    format!("its node {} fell silent", node.node_id)
}

/// Services of silent nodes that have not been heard of since the node should have been.
fn orphans(core: &Core, now: Duration) -> Vec<Overdue<Service>> {
    let index = core.index();
    let grace = core.sweeps().grace;
    let silent = index.nodes.iter().map(|(_, held)| held).filter(|held| held.thing.is_silent());
    let of = |node: &Held<Node>| -> Vec<Overdue<Service>> {
        let reason = silence_of(&node.thing);
        let services = index.by_node.get(node.thing.node_id.as_str()).filter_map(|id| index.services.get(id));
        services
            .filter(|held| is_orphan(node, held, grace, now))
            .map(|held| Overdue { id: held.thing.service_id.clone(), reason: reason.clone() })
            .collect()
    };
    silent.flat_map(of).collect()
}

fn is_orphan(node: &Held<Node>, service: &Held<Service>, grace: Duration, now: Duration) -> bool {
    let (service, lease) = (&service.thing, &service.lease);
    let seconds = |ttl: i64| Duration::from_secs(u64::try_from(ttl).unwrap_or(0));
    if service.health_status == Health::Critical || service.updated_at > node.thing.updated_at {
        return false;
    }
    let node_ttl = seconds(node.thing.ttl_seconds);
    if service.ttl_seconds == 0 {
        return now >= grace + node_ttl;
    }
    // What was only read from the database has its own time-to-live to be heard of.
    let had_time = lease.is_heard() || now >= grace + seconds(service.ttl_seconds);
    had_time && lease.beat() <= node.lease.beat() + node_ttl / 2
}

/// Services without a heartbeat of their own come back with their node.
async fn restore(core: &Core) -> anyhow::Result<()> {
    let back: Vec<ServiceId> = {
        let index = core.index();
        let silenced = |held: &Held<Service>| {
            let service = &held.thing;
            if service.ttl_seconds != 0 || service.health_status != Health::Critical {
                return false;
            }
            let node = service.node_id.as_ref().and_then(|id| index.nodes.get(id));
            node.is_some_and(|node| !node.thing.is_silent() && service.health_reason == Some(silence_of(&node.thing)))
        };
        index.services.iter().filter(|(_, held)| silenced(held)).map(|(id, _)| id.clone()).collect()
    };
    let edits: Vec<Edit<Service>> = back.iter().map(super::beats::woken).collect();
    for reply in writer::write(core, &edits).await {
        reply.map(drop).or_else(|error| match error {
            writer::WriteError::NotThere(_) => Ok(()),
            error => Err(error),
        })?;
    }
    Ok(())
}

/// Shows whether expiry was held back.
fn protect(core: &Core, outcome: &Outcome) {
    let Outcome { wanted, allowed, live } = outcome;
    let mut protection = core.protection.lock().unwrap_or_else(PoisonError::into_inner);
    if allowed == wanted {
        if protection.active {
            tracing::info!("expiry of services is not held back any more");
        }
        *protection = Protection::default();
        return;
    }
    let since = protection.since.unwrap_or_else(|| core.clock.now());
    let at_once = share(core, *live);
    let reason = format!(
        "{wanted} of {live} live services missed their heartbeats; at most {at_once} of them are marked critical in one sweep"
    );
    if !protection.active {
        tracing::warn!(wanted, live, "expiry of services is held back: {reason}");
    }
    *protection = Protection { active: true, since: Some(since), reason: Some(reason) };
}
