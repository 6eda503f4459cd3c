//! Doing checks: one task that has as many under way as it may, and another that holds the turn over replicas.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};

use super::{
    super::{
        Health, Registry,
        services::{Service, Signal},
        writer::{Edit, Verdict, WriteError},
    },
    plan::Job,
    probe::Prober,
    target::Reach,
};
use crate::{app::App, clock::Clock, db::lease, feed};

/// Whose turn it is, over all replicas.
const LEASE: &str = "registry.checks";
/// How long a turn lasts without being renewed.
const LEASE_LASTS: Duration = Duration::from_secs(15);
/// How often that is seen to.
const RENEW: Duration = Duration::from_secs(3);
/// How long the task waits when there is nothing to do: it is woken when there is.
const IDLE: Duration = Duration::from_secs(3600);

/// Starts the tasks.
pub(in super::super) fn start(app: &App) {
    let own = app.clone();
    app.tasks.every("registry.check-turn", RENEW, move || {
        let app = own.clone();
        async move { take_turn(&app).await }
    });
    let (registry, clock) = (app.registry.clone(), app.clock.clone());
    app.tasks.spawn("registry.checks", async move { run(&registry, &clock).await });
}

/// Takes the turn or renews it. Where there is one replica it is always ours.
async fn take_turn(app: &App) -> anyhow::Result<()> {
    let (core, uptime, now) = (&app.registry.core, app.clock.uptime(), app.clock.now());
    if !app.db.is_shared() {
        return Ok(());
    }
    let mut tx = app.db.write().await?;
    let held = lease::take(&mut tx, LEASE, &app.replica, now.plus(LEASE_LASTS), now).await?;
    tx.commit().await?;
    let anew = held && !core.checks.are_ours(uptime);
    if anew {
        // What another replica found is known before anything is counted on top of it.
        feed::follow(&app.feed).await?;
        core.checks.plan().restart(uptime, &core.random);
    }
    *core.checks.turn() = held.then(|| uptime + LEASE_LASTS);
    if anew {
        core.checks.changed.notify_one();
    }
    Ok(())
}

async fn run(registry: &Registry, clock: &Clock) {
    let core = &registry.core;
    let reach = if core.settings.check_link_local { Reach::Everything } else { Reach::NoMetadata };
    let prober = match Prober::new(reach) {
        Ok(prober) => prober,
        Err(error) => return tracing::error!(error = format!("{error:#}"), "could not make ready for checks"),
    };
    if !core.db.is_shared() {
        *core.checks.turn() = Some(Duration::MAX);
    }
    let mut under_way = FuturesUnordered::new();
    loop {
        let now = clock.uptime();
        let ours = core.checks.are_ours(now);
        while ours && under_way.len() < core.settings.checks_under_way {
            let Some(job) = core.checks.plan().take(now) else { break };
            under_way.push(check(registry, &prober, clock, job));
        }
        let full = !ours || under_way.len() >= core.settings.checks_under_way;
        let next = core.checks.plan().next().filter(|_| !full);
        let until = next.unwrap_or(now + IDLE);
        tokio::select! {
            Some(()) = under_way.next() => {}
            () = core.checks.changed.notified() => {}
            () = clock.sleep_until(until) => {}
        }
    }
}

/// Does one check, and all that comes of it; then it is due again.
async fn check(registry: &Registry, prober: &Prober, clock: &Clock, job: Job) {
    let core = &registry.core;
    let began = clock.uptime();
    let answer = prober.ask(&job.subject).await;
    if core.checks.are_ours(clock.uptime())
        && let Err(error) = conclude(registry, clock, &job, &answer).await
    {
        // It is told again with the next answer.
        tracing::warn!(service.id = %job.id, error = format!("{error:#}"), "could not write what a check found");
    }
    let count = if answer.is_ok() { &core.checks.passed } else { &core.checks.failed };
    count.fetch_add(1, Relaxed);
    core.checks.plan().again(&job, began, &core.random);
}

/// Counts an answer, and writes the verdict if it changes; a critical one waits for the sweep.
async fn conclude(
    registry: &Registry,
    clock: &Clock,
    job: &Job,
    answer: &Result<(), String>,
) -> Result<(), WriteError> {
    let core = &registry.core;
    let Some(is) = core.verdict_on(&job.id) else { return Ok(()) };
    let verdict = core.checks.plan().count(job, answer, is, clock.uptime());
    let lives = |service: &Service| service.lives_by_its_check() && service.fell_silent_with_its_node();
    let rises = answer.is_ok() && is == Health::Healthy && registry.service(&job.id).is_some_and(|known| lives(&known));
    let health = match verdict {
        Some(Health::Critical) => return Ok(()),
        Some(health) => health,
        None if rises => is,
        None => return Ok(()),
    };
    let subject = job.subject.clone();
    let reason = subject.reason(health, answer.as_ref().err().map_or("", String::as_str));
    let edit = Edit::existing(&job.id, None, move |row: &Service, now| {
        let news = row.signals.check.health != health || health == Health::Healthy && lives(row);
        Ok(match subject.is_of(row) && news {
            true => Verdict::Transition(row.clone().checked(Signal { health, reason: reason.clone() }, now)),
            false => Verdict::Keep,
        })
    });
    match registry.edit(edit).await {
        Ok(_) | Err(WriteError::NotThere(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
