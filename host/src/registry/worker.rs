//! What the registry does by itself: writes heartbeats, and ends the leases of what fell silent.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{
    Core, Health, Protection, Registry, TICK,
    checks::Failed,
    index::{Held, Index},
    lease::Lease,
    member::Member,
    nodes::Node,
    restore::restore,
    services::{Service, Signal, silence_of},
    share::{Held as HeldBack, Room, share},
    writer::{self, Edit, Verdict},
};
use crate::{app::App, clock::Timestamp};

/// A sweep that comes this late shows that the process stood still: heartbeats may wait to be read.
const PAUSE: Duration = Duration::from_secs(6);
/// One that comes this late waits for the next, so that they are read before a lease ends that is not much longer.
const HICCUP: Duration = Duration::from_secs(3);

/// What one sweep leaves for the next.
#[derive(Default)]
pub(super) struct Sweeps {
    /// No lease ends sooner than its time-to-live after this.
    pub(super) grace: Duration,
    last: Duration,
    /// Whether the last one was put off.
    put_off: bool,
}

impl Sweeps {
    /// Begins at `uptime`: every lease is new.
    pub(super) fn begin(&mut self, uptime: Duration) {
        (self.grace, self.last) = (uptime, uptime);
    }
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

/// Ends the leases that ran out: those of nodes, then those of services, and of services whose node fell silent; and marks
/// those whose checks failed.
async fn expire(registry: &Registry) -> anyhow::Result<()> {
    let core = &registry.core;
    if let Some(now) = begin(core) {
        end(core, overdue::<Node>(core, now)).await?;
        let mut services = overdue::<Service>(core, now);
        services.extend(orphans(core, now));
        services.extend(failed(core, now));
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
    sweeps.put_off = late > HICCUP && late <= PAUSE && !sweeps.put_off;
    if sweeps.put_off {
        return None;
    }
    if late > PAUSE {
        sweeps.grace = now;
        let seconds = late.as_secs();
        tracing::warn!(seconds, "nothing was swept for {seconds} s: every lease begins anew");
    }
    Some(now)
}

/// Something that is to be critical, and why that is told.
struct Overdue<T: Member> {
    id: T::Id,
    why: Why<T>,
}

/// What makes it critical.
enum Why<T> {
    /// Its lease ran out, or that of what it runs on.
    Silence(String),
    /// Something else: what it makes of it, unless it is so already.
    Else(Make<T>),
}

type Make<T> = Box<dyn Fn(&T, Timestamp) -> Option<T> + Send + Sync>;

fn overdue<T: Member>(core: &Core, now: Duration) -> Vec<Overdue<T>> {
    let index = core.index();
    let ended = core.wheel::<T>().turn(now, |id| core.deadline::<T>(&index, id));
    let grace = core.settings.late_beat_grace;
    let reason = |id: &T::Id| {
        let ttl = T::members(&index).get(id).map_or(0, |held| held.thing.ttl_seconds());
        // A time-to-live is at most a day.
        let late = if grace > 0.0 { format!(" and {:.1} s of grace", ttl as f64 * grace) } else { String::new() };
        format!("no heartbeat came within {ttl} s{late}")
    };
    ended.into_iter().map(|id| Overdue { why: Why::Silence(reason(&id)), id }).collect()
}

/// What one sweep did.
struct Outcome {
    wanted: usize,
    allowed: usize,
    live: usize,
    /// The first name that was held back.
    name: Option<HeldBack>,
}

/// Ends leases, as many as may end at once; the others are looked at again by the next sweep.
async fn end<T: Member>(core: &Core, overdue: Vec<Overdue<T>>) -> anyhow::Result<Outcome> {
    if overdue.is_empty() {
        return Ok(Outcome { wanted: 0, allowed: 0, live: 0, name: None });
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
    overdue.retain(|Overdue { id, why }| !matches!(why, Why::Silence(_)) || !heard.contains(id));
    core.random.shuffle(&mut overdue);
    let (outcome, silent, edits) = {
        let index = core.index();
        let lives = |id: &T::Id| T::members(&index).get(id).is_some_and(|held| held.thing.health() != Health::Critical);
        // What is shown as critical already, for another reason, is no loss: the share does not bind it.
        let (bound, mut chosen): (Vec<_>, Vec<_>) = overdue.into_iter().partition(|overdue| lives(&overdue.id));
        let kin = |overdue: &Overdue<T>| T::members(&index).get(&overdue.id).and_then(|held| held.thing.kin());
        let (wanted, mut room) = (bound.len(), Room::of::<T>(core, &index, bound.iter().filter_map(kin)));
        let live = room.live;
        let others = chosen.len();
        chosen.extend(bound.into_iter().filter(|overdue| room.take(kin(overdue))));
        let allowed = chosen.len() - others;
        let silent = |overdue: &Overdue<T>| matches!(overdue.why, Why::Silence(_));
        let edits = chosen.into_iter().filter_map(|overdue| Some((silent(&overdue), ending(&index, overdue)?)));
        let (silent, edits): (Vec<bool>, Vec<Edit<T>>) = edits.unzip();
        (Outcome { wanted, allowed, live, name: room.held }, silent, edits)
    };
    for (reply, silent) in writer::write(core, &edits).await.into_iter().zip(silent) {
        match reply {
            Ok(done) if silent && done.change != writer::Change::None => drop(core.expired.fetch_add(1, Relaxed)),
            Ok(_) | Err(writer::WriteError::NotThere(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(outcome)
}

/// Reads what other replicas heard, and gives those that they have heard of since.
async fn learn<T: Member>(core: &Core, overdue: &[Overdue<T>]) -> anyhow::Result<HashSet<T::Id>> {
    let silent = overdue.iter().filter(|overdue| matches!(overdue.why, Why::Silence(_)));
    let ids = silent.map(|overdue| overdue.id.clone()).collect();
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
fn ending<T: Member>(index: &Index, Overdue { id, why }: Overdue<T>) -> Option<Edit<T>> {
    let reason = match why {
        Why::Silence(reason) => reason,
        Why::Else(make) => {
            return Some(Edit::existing(&id, None, move |row: &T, now| {
                Ok(make(row, now).map_or(Verdict::Keep, Verdict::Transition))
            }));
        }
    };
    let lease = T::members(index).get(&id)?.lease.clone();
    let (known, beaten) = (lease.stored(), lease.beat());
    Some(Edit::existing(&id, None, move |row: &T, now| {
        // A heartbeat may have come while this waited for its turn.
        let heard = row.last_beat() > known || lease.beat() > beaten;
        Ok(match row.is_silent() || heard {
            true => Verdict::Keep,
            false => Verdict::Transition(row.clone().silent(&reason, now)),
        })
    }))
}

/// Services whose checks failed as often as they may.
fn failed(core: &Core, now: Duration) -> Vec<Overdue<Service>> {
    let marked = |Failed { id, subject, reason }: Failed| {
        let make = move |row: &Service, now| {
            // There may have been another answer while this waited for its turn.
            let answer = reason.upgrade()?;
            let news = subject.is_of(row) && row.signals.check.health != Health::Critical;
            let (health, reason) = (Health::Critical, subject.reason(Health::Critical, &answer));
            news.then(|| row.clone().checked(Signal { health, reason }, now))
        };
        Overdue { id, why: Why::Else(Box::new(make)) }
    };
    let failed = core.checks.failed(now).into_iter();
    failed.filter(|failed| core.verdict_on(&failed.id) != Some(Health::Critical)).map(marked).collect()
}

/// Services of silent nodes that have not been heard of since the node should have been.
fn orphans(core: &Core, now: Duration) -> Vec<Overdue<Service>> {
    let index = core.index();
    let silent = index.nodes.iter().map(|(_, held)| held).filter(|held| held.thing.is_silent());
    let of = |node: &Held<Node>| -> Vec<Overdue<Service>> {
        let reason = silence_of(&node.thing.node_id);
        let services = index.by_node.get(node.thing.node_id.as_str()).filter_map(|id| index.services.get(id));
        services
            .filter(|held| is_orphan(core, node, held, now))
            .map(|held| Overdue { id: held.thing.service_id.clone(), why: Why::Silence(reason.clone()) })
            .collect()
    };
    silent.flat_map(of).collect()
}

fn is_orphan(core: &Core, node: &Held<Node>, service: &Held<Service>, now: Duration) -> bool {
    let (service, lease, grace) = (&service.thing, &service.lease, core.sweeps().grace);
    let seconds = |ttl: i64| Duration::from_secs(u64::try_from(ttl).unwrap_or(0));
    if service.is_silent() || service.updated_at > node.thing.updated_at {
        return false;
    }
    let node_ttl = seconds(node.thing.ttl_seconds);
    let since = node.lease.beat() + node_ttl / 2;
    if service.check.is_some() {
        // Only who does the checks knows when one last passed.
        let passed = core.checks.last_passed(&service.service_id).is_some_and(|passed| passed > since);
        if passed || !core.checks.are_ours(now) {
            return false;
        }
    }
    if service.ttl_seconds == 0 || service.lives_by_its_check() {
        return now >= grace + node_ttl;
    }
    // What was only read from the database has its own time-to-live to be heard of.
    let had_time = lease.is_heard() || now >= grace + seconds(service.ttl_seconds);
    had_time && lease.beat() <= since
}

/// Shows whether expiry was held back.
fn protect(core: &Core, outcome: &Outcome) {
    let Outcome { wanted, allowed, live, name } = outcome;
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
    // Where the share over all binds as well, that says it.
    let name = name.as_ref().filter(|_| *allowed < at_once);
    let of_name = name.map(|HeldBack { name, live, share }| format!(", and of the {live} of {name} at most {share},"));
    let of_name = of_name.unwrap_or_default();
    let reason = format!(
        "{wanted} of {live} live services missed their heartbeats or failed their checks; at most {at_once} of them{of_name} are marked critical in one sweep"
    );
    if !protection.active {
        tracing::warn!(wanted, live, "expiry of services is held back: {reason}");
    }
    *protection = Protection { active: true, since: Some(since), reason: Some(reason) };
}
