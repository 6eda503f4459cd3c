//! What moves versions on by itself: each replica writes down what it sees, and whoever sees enough takes the next step. It also
//! ends calls on versions that were replaced long ago.

use std::time::Duration;

use super::{
    decide::{Decision, decide},
    keep,
    queries::{self, Place},
    report::Report,
    types::{Candidate, Stage},
};
use crate::{
    app::App,
    db,
    feed::Changes,
    plugins::{
        PluginName,
        keeper::{self, Coming, TakeError},
        slot::Slot,
    },
};

/// Who takes steps, for the audit.
const TASK: &str = "plugins.rollout";

/// Starts the lane of calls beside, and what moves versions on.
pub(in crate::plugins) fn start(app: &App) {
    let own = app.clone();
    app.tasks.every(TASK, Duration::from_secs(1), move || {
        let app = own.clone();
        async move { run(&app).await }
    });
    let own = app.plugins.clone();
    app.tasks.spawn("plugins.shadow", async move { own.0.lane.run().await });
}

async fn run(app: &App) -> anyhow::Result<()> {
    for slot in app.plugins.slots() {
        drain(app, &slot);
        let Some(candidate) = slot.rollout.candidate() else { continue };
        if candidate.stage.is_on_its_way() || candidate.stage == Stage::Guard {
            write_down(app, &slot).await?;
            step(app, &slot, &candidate).await?;
        }
    }
    Ok(())
}

fn drain(app: &App, slot: &Slot) {
    let patience = Duration::from_secs(app.settings.plugins.drain_seconds);
    for ended in slot.rollout.sweep(app.clock.now(), patience) {
        tracing::warn!(plugin.name = %slot.name, plugin.version = ended.version, calls = ended.calls,
            "ended {} calls on a version of plugin {} that was replaced", ended.calls, slot.name);
    }
}

async fn write_down(app: &App, slot: &Slot) -> db::Result<()> {
    let Some(active) = slot.rollout.active() else { return Ok(()) };
    let Some((digest, report)) = active.news() else { return Ok(()) };
    let written = async {
        let mut tx = app.db.write().await?;
        let place = Place { name: &slot.name, digest: &digest, replica: &app.replica };
        queries::put_report(&mut tx, &place, &report, app.clock.now()).await?;
        tx.commit().await
    };
    written.await.inspect_err(|_| active.unwritten())
}

/// What all replicas have seen of a version.
pub(super) async fn seen(app: &App, slot: &Slot, candidate: &Candidate) -> db::Result<Report> {
    let mut all = match slot.rollout.active() {
        Some(active) => active.seen(),
        None => Report::default(),
    };
    // Without a version to watch, what this replica saw is what it has written.
    let beside = if slot.rollout.active().is_some() { app.replica.clone() } else { "".into() };
    for report in queries::reports(&mut app.db.read().await?, &slot.name, candidate.digest(), &beside).await? {
        all.add(&report);
    }
    Ok(all)
}

async fn step(app: &App, slot: &Slot, candidate: &Candidate) -> anyhow::Result<()> {
    let policy = slot.rollout.policy().unwrap_or_default();
    let report = seen(app, slot, candidate).await?;
    let now = app.clock.now();
    let changes = Changes::by(keep::system(TASK));
    let name = &slot.name;
    let to = match decide(candidate, &policy, &report, now) {
        Decision::Wait(reason) if reason.is_none() || reason == candidate.reason => return Ok(()),
        Decision::Wait(reason) => Candidate { reason, ..candidate.clone() },
        Decision::Share(reason) => candidate.moved(Stage::Canary, now, Some(reason)),
        Decision::GiveUp(reason) => candidate.moved(Stage::Aborted, now, Some(reason)),
        Decision::Prove => candidate.moved(Stage::Done, now, candidate.reason.clone()),
        Decision::Serve(reason) => {
            // A replica that has it not leaves it to another.
            keep::serve(app, name, candidate, Some(reason), changes).await?;
            return Ok(());
        }
        Decision::TakeBack(reason) => return take_back(app, name, candidate, reason, changes).await,
    };
    let changes = if to.stage == candidate.stage { Changes::unaudited() } else { changes };
    keep::advance(app, name, candidate, &to, changes).await?;
    Ok(())
}

async fn take_back(
    app: &App,
    name: &PluginName,
    candidate: &Candidate,
    reason: String,
    changes: Changes,
) -> anyhow::Result<()> {
    tracing::warn!(plugin.name = %name, reason, "a version of plugin {name} is taken back");
    match keeper::roll_back(app, name, changes, Coming::back(&reason, Some(candidate.stage))).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            let reason = Some(format!("{reason}; there is no version before it to go back to"));
            let to = candidate.moved(Stage::Done, app.clock.now(), reason);
            keep::advance(app, name, candidate, &to, Changes::by(keep::system(TASK))).await?;
            Ok(())
        }
        Err(TakeError::Moved) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
