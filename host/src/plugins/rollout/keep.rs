//! Taking a step: what the database says first, memory follows by way of the feed, on every replica. Each step is in the history
//! and in the audit, with who and why.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    queries::{self, NewEntry},
    types::{Action, Candidate, Policy, Stage, VersionRef},
};
use crate::{
    app::App,
    clock::Timestamp,
    db::{self, AsConn, Tx},
    feed::{Actor, Change, Changes, Op, Topic},
    ids::RequestId,
    plugins::{
        PluginInfo, PluginName, Plugins, Source,
        keeper::{self, Coming, PLUGINS, TakeError},
        load::{File, LoadError, Stage as Staging, Staged},
        queries as versions,
        refusal::Blame,
        slot::{Release, Slot},
    },
};

/// How new versions come in, for the replicas alone.
pub(in crate::plugins) const POLICIES: Topic = Topic { name: "plugin-rollouts", scope: None };
/// Where a version on its way stands, for the replicas alone.
pub(in crate::plugins) const CANDIDATES: Topic = Topic { name: "plugin-candidates", scope: None };

/// The program itself, for the audit.
pub(in crate::plugins) fn system(task: &str) -> Actor {
    Actor { name: format!("system:{task}"), source: String::new(), request: RequestId(String::new()) }
}

/// What happens to a version, and why.
pub(in crate::plugins) struct Step<'a> {
    pub(in crate::plugins) name: &'a PluginName,
    pub(in crate::plugins) action: Action,
    pub(in crate::plugins) reason: Option<&'a str>,
    pub(in crate::plugins) from: Option<&'a VersionRef>,
    pub(in crate::plugins) to: Option<&'a VersionRef>,
}

/// Writes a step into the history, and into the audit unless it is there by another name.
pub(in crate::plugins) async fn write(app: &App, tx: &mut Tx, changes: &mut Changes, step: Step<'_>) -> db::Result<()> {
    let Step { name, action, reason, from, to } = step;
    let actor = changes.actor().map_or("system:plugins", |actor| actor.name.as_str()).to_owned();
    let (id, at) = (app.ids.next(), app.clock.now());
    queries::add_history(tx, &NewEntry { id, name, action, reason, actor: &actor, from, to, at }).await?;
    let audited_already = matches!(
        action,
        Action::Loaded | Action::Enabled | Action::Disabled | Action::Granted | Action::Quarantined | Action::Recovered
    );
    if !audited_already {
        let after = json!({"version": to, "reason": reason});
        changes.audit(
            PLUGINS.name,
            name.as_str(),
            action.as_str(),
            from.map(|from| json!({"version": from})),
            Some(after),
        );
    }
    Ok(())
}

pub(in crate::plugins) fn reference(release: &Release) -> VersionRef {
    VersionRef { version: Some(release.plugin.version.clone()), digest: release.plugin.digest.clone() }
}

fn serving(slot: &Slot) -> Option<VersionRef> {
    slot.current().map(|current| reference(&current))
}

/// Where a staged version begins, when there is one that it can run beside.
pub(in crate::plugins) fn first_stage(app: &App, staged: &Staged) -> Option<Stage> {
    let slot = app.plugins.slot(&staged.plugin().name)?;
    // The same file with another signature beside it is no other version.
    slot.current().filter(|current| current.digest != staged.release().digest)?;
    slot.rollout.policy()?.first_stage()
}

/// The version on its way, if there is one.
pub(in crate::plugins) fn on_its_way(app: &App, name: &PluginName) -> Option<Candidate> {
    let candidate = app.plugins.slot(name)?.rollout.candidate()?;
    candidate.stage.is_on_its_way().then_some(candidate)
}

/// Why a file of the folder stays out: it was given up or taken back, and nobody changed it since.
pub(in crate::plugins) fn rejected(app: &App, name: &PluginName, digest: &str) -> Option<String> {
    let candidate = app.plugins.slot(name)?.rollout.candidate()?;
    let lost = matches!(candidate.stage, Stage::Aborted | Stage::RolledBack) && candidate.digest() == digest;
    let why = candidate.reason.unwrap_or_else(|| "an operator decided so".to_owned());
    lost.then(|| format!("it was {}: {why}", candidate.stage))
}

/// Keeps a staged version as the one on its way; it begins at `stage`.
pub(in crate::plugins) async fn begin(
    app: &App,
    staged: Staged,
    wasm: &[u8],
    stage: Stage,
    mut changes: Changes,
) -> Result<PluginInfo, TakeError> {
    let now = app.clock.now();
    let name = staged.plugin().name.clone();
    let slot = app.plugins.slot_or_new(&name);
    let plugin = reference(staged.release());
    let before = serving(&slot);
    let candidate = Candidate {
        plugin: plugin.clone(),
        source: staged.source(),
        stage,
        since: now,
        until: None,
        reason: None,
        before: before.clone(),
        signature: staged.signature().map(str::to_owned),
    };
    let mut tx = app.db.write().await?;
    versions::keep_file(&mut tx, &plugin.digest, wasm, now).await?;
    replace(app, &mut tx, &mut changes, &slot, &plugin).await?;
    queries::put_candidate(&mut tx, &name, &candidate).await?;
    let action = if stage == Stage::Shadow { Action::Shadow } else { Action::Canary };
    let step = Step { name: &name, action, reason: None, from: before.as_ref(), to: Some(&plugin) };
    write(app, &mut tx, &mut changes, step).await?;
    versions::prune_files(&mut tx).await?;
    let info = announce(app, &mut changes, &name, &candidate);
    let _pending = app.plugins.pend(staged);
    app.feed.commit(tx, changes).await?;
    info.ok_or_else(|| keeper::gone(&name).into())
}

/// A version that is on its way makes room for another.
pub(in crate::plugins) async fn replace(
    app: &App,
    tx: &mut Tx,
    changes: &mut Changes,
    slot: &Slot,
    by: &VersionRef,
) -> db::Result<()> {
    let Some(candidate) = slot.rollout.candidate().filter(|candidate| candidate.stage.is_on_its_way()) else {
        return Ok(());
    };
    // Neither does the one that serves already, with another signature beside it.
    if candidate.plugin == *by || serving(slot).is_some_and(|serving| serving == *by) {
        return Ok(());
    }
    let reason = format!("version {} came in its place", by.version.as_deref().unwrap_or(&by.digest));
    let (from, to) = (serving(slot), candidate.plugin);
    let step =
        Step { name: &slot.name, action: Action::Aborted, reason: Some(&reason), from: from.as_ref(), to: Some(&to) };
    write(app, tx, changes, step).await
}

/// Puts where a version stands on the feed, with the plugin as people will see it.
fn announce(app: &App, changes: &mut Changes, name: &PluginName, candidate: &Candidate) -> Option<PluginInfo> {
    changes.put_quietly(CANDIDATES, name.as_str(), candidate);
    let mut info = app.plugins.get(name)?;
    info.rollout = Some(candidate.shown());
    changes.put_quietly(PLUGINS, name.as_str(), &info);
    Some(info)
}

/// Moves a version on without a swap; false if it is not there any more.
pub(super) async fn advance(
    app: &App,
    name: &PluginName,
    from: &Candidate,
    to: &Candidate,
    mut changes: Changes,
) -> db::Result<bool> {
    let mut tx = app.db.write().await?;
    if !queries::move_candidate(&mut tx, name, from.stage, to).await? {
        return Ok(false);
    }
    let action = match to.stage {
        Stage::Canary => Some(Action::Canary),
        Stage::Aborted => Some(Action::Aborted),
        Stage::Done => Some(Action::Proved),
        _ => None,
    };
    if let Some(action) = action.filter(|_| from.stage != to.stage) {
        let (reason, before) = (to.reason.as_deref(), to.before.as_ref());
        write(app, &mut tx, &mut changes, Step { name, action, reason, from: before, to: Some(&to.plugin) }).await?;
    }
    announce(app, &mut changes, name, to);
    app.feed.commit(tx, changes).await?;
    Ok(true)
}

/// Puts the version on its way in service; `None` if this replica has it not, or it is not on its way any more.
pub(super) async fn serve(
    app: &App,
    name: &PluginName,
    candidate: &Candidate,
    reason: Option<String>,
    changes: Changes,
) -> Result<Option<PluginInfo>, TakeError> {
    let Some(slot) = app.plugins.slot(name) else { return Ok(None) };
    let Some(held) = slot.rollout.held(candidate.digest()) else { return Ok(None) };
    let staged = app.plugins.stage_again(&slot, &held).await;
    let coming = Coming { action: Action::Promoted, reason, from: Some(candidate.stage) };
    match keeper::commit(app, staged, None, changes, coming).await {
        Err(TakeError::Moved) => Ok(None),
        done => done.map(Some),
    }
}

/// What is kept of a version that comes into service: it is guarded. `None` when there was none before it.
pub(in crate::plugins) fn guarded(app: &App, slot: &Slot, release: &Release, coming: &Coming) -> Option<Candidate> {
    let before = serving(slot).filter(|before| before.digest != release.plugin.digest)?;
    let now = app.clock.now();
    if coming.action == Action::RolledBack {
        // It served before; what is told is what became of the one that it takes the place of.
        return Some(Candidate {
            plugin: before,
            source: release.source,
            stage: Stage::RolledBack,
            since: now,
            until: None,
            reason: coming.reason.clone(),
            before: Some(reference(release)),
            signature: None,
        });
    }
    let policy = slot.rollout.policy().unwrap_or_default();
    let seconds = policy.guard_seconds.unwrap_or(app.settings.plugins.guard_seconds);
    Some(Candidate {
        plugin: reference(release),
        source: release.source,
        stage: Stage::Guard,
        since: now,
        until: Some(now.plus(Duration::from_secs(seconds))),
        reason: coming.reason.clone(),
        before: Some(before),
        signature: release.signature.clone(),
    })
}

/// Writes down where the version that comes into service, or goes, stands from then on.
pub(in crate::plugins) async fn put_guarded(
    tx: &mut Tx,
    name: &PluginName,
    candidate: &Candidate,
    from: Option<Stage>,
) -> Result<(), TakeError> {
    let moved = match from {
        Some(from) => queries::move_candidate(tx, name, from, candidate).await?,
        None => queries::put_candidate(tx, name, candidate).await.map(|()| true)?,
    };
    if moved { Ok(()) } else { Err(TakeError::Moved) }
}

/// Writes down that a file was not taken, and shows watchers; false if that was done before. It takes the place of no version that is
/// on its way or guarded.
pub(in crate::plugins) async fn refuse(
    app: &App,
    name: &PluginName,
    refused: &LoadError,
    file: (&str, Source),
    mut changes: Changes,
) -> db::Result<bool> {
    let (digest, source) = file;
    let slot = app.plugins.slot_or_new(name);
    let known = slot.rollout.candidate();
    if known.as_ref().is_some_and(|known| known.stage == Stage::Refused && known.digest() == digest) {
        return Ok(false);
    }
    let (plugin, before) = (VersionRef { version: None, digest: digest.to_owned() }, serving(&slot));
    let reason = Some(refused.reason.clone());
    let mut tx = app.db.write().await?;
    let step =
        Step { name, action: Action::Refused, reason: reason.as_deref(), from: before.as_ref(), to: Some(&plugin) };
    write(app, &mut tx, &mut changes, step).await?;
    let free = known.is_none_or(|known| known.stage.is_lost() || known.stage == Stage::Done);
    if free && before.is_some() {
        let (stage, since) = (Stage::Refused, app.clock.now());
        let candidate = Candidate { plugin, source, stage, since, until: None, reason, before, signature: None };
        queries::put_candidate(&mut tx, name, &candidate).await?;
        announce(app, &mut changes, name, &candidate);
    } else if let Some(info) = app.plugins.get(name) {
        changes.put_quietly(PLUGINS, name.as_str(), &info);
    }
    app.feed.commit(tx, changes).await?;
    Ok(true)
}

/// Writes down that a version, by its digest, was taken back at once for its faults; gives where it stands now.
pub(in crate::plugins) async fn taken_back(
    tx: &mut Tx,
    name: &PluginName,
    digest: &str,
    to: (&VersionRef, Option<String>),
    now: Timestamp,
) -> db::Result<Candidate> {
    let known = versions::version(tx, name, digest).await?;
    let (before, reason) = (Some(to.0.clone()), to.1);
    let lost = Candidate {
        source: known.as_ref().map_or(Source::Upload, |known| known.source),
        signature: known.as_ref().and_then(|known| known.signature.clone()),
        plugin: VersionRef { version: known.map(|known| known.version), digest: digest.to_owned() },
        stage: Stage::RolledBack,
        since: now,
        until: None,
        reason,
        before,
    };
    queries::put_candidate(tx, name, &lost).await?;
    Ok(lost)
}

/// Applies a change of where a version stands.
pub(in crate::plugins) fn apply(plugins: &Plugins, change: &Change) {
    let Ok(name) = change.key.parse::<PluginName>() else { return };
    if change.op == Op::Delete {
        return;
    }
    let Some(candidate) = change.read::<Candidate>() else { return };
    let slot = plugins.slot_or_new(&name);
    let staged = if candidate.stage.is_on_its_way() { plugins.pending(&name, candidate.digest()) } else { None };
    if let Some(staged) = staged {
        slot.rollout.hold(Arc::clone(staged.release()));
    }
    slot.set_candidate(Some(candidate));
    if slot.rollout.lacks_candidate().is_some() {
        plugins.ask_for(name);
    }
}

/// Applies a change of how new versions come in.
pub(in crate::plugins) fn apply_policy(plugins: &Plugins, change: &Change) {
    let Ok(name) = change.key.parse::<PluginName>() else { return };
    let policy = if change.op == Op::Delete { None } else { change.read::<Policy>() };
    plugins.slot_or_new(&name).rollout.set_policy(policy);
}

/// A version that is to be ready here, and is not.
pub(in crate::plugins) struct Lacking {
    digest: String,
    file: File,
    place: Place,
}

/// What a version is ready for.
#[derive(Clone, Copy)]
enum Place {
    /// It is on its way.
    Beside,
    /// A guarded version may have to make room for it.
    Before,
}

/// The version on its way, where another replica brought it; after a start, the one that a guarded version may have to make room for.
pub(in crate::plugins) async fn lacking(
    on: &mut dyn AsConn,
    plugins: &Plugins,
    name: &PluginName,
) -> db::Result<Vec<Lacking>> {
    let Some(slot) = plugins.slot(name) else { return Ok(Vec::new()) };
    let Some(candidate) = slot.rollout.candidate() else { return Ok(Vec::new()) };
    let before = candidate.before.as_ref().filter(|_| candidate.stage == Stage::Guard);
    let before = before.filter(|before| slot.earlier(&before.digest).is_none());
    let beside = slot.rollout.lacks_candidate().map(|digest| (digest, Place::Beside));
    let before = before.map(|before| (before.digest.clone(), Place::Before));
    let mut lacking = Vec::new();
    for (digest, place) in beside.into_iter().chain(before) {
        let known = versions::version(on, name, &digest).await?;
        let (source, loaded_at, signature) = match known {
            Some(known) => (known.source, known.loaded_at, known.signature),
            None => (candidate.source, candidate.since, candidate.signature.clone()),
        };
        match versions::file(on, &digest).await? {
            Some(wasm) => {
                let file = File::new(wasm.into(), source, loaded_at, signature);
                lacking.push(Lacking { digest, file, place });
            }
            None => {
                tracing::error!(plugin.name = %name, plugin.digest = digest, "the file of a version of plugin {name} is not kept any more");
            }
        }
    }
    Ok(lacking)
}

/// Gets versions ready. Fails when that may go better later.
pub(in crate::plugins) async fn get_ready(
    plugins: &Plugins,
    name: &PluginName,
    lacking: Vec<Lacking>,
) -> Result<(), LoadError> {
    let Some(slot) = plugins.slot(name) else { return Ok(()) };
    for Lacking { digest, file, place } in lacking {
        let release = match plugins.stage(name, file).await {
            Ok(Staging::Ready(staged)) => Arc::clone(staged.release()),
            Ok(Staging::Serving(_)) => continue,
            Err(error) if error.blame == Blame::File => {
                tracing::warn!(plugin.name = %name, plugin.digest = digest, "{error}");
                continue;
            }
            Err(error) => return Err(error),
        };
        match place {
            Place::Beside => slot.rollout.hold(release),
            Place::Before => slot.ready(&release),
        }
    }
    Ok(())
}

/// Fills memory with policies and with where versions stand, as `on` sees it.
pub(in crate::plugins) async fn load(on: &mut dyn AsConn, plugins: &Plugins) -> anyhow::Result<()> {
    for (name, db::Json(policy)) in queries::policies(on).await? {
        if let Ok(name) = name.parse::<PluginName>() {
            plugins.slot_or_new(&name).rollout.set_policy(Some(policy));
        }
    }
    for (name, db::Json(candidate)) in queries::candidates(on).await? {
        let Ok(name) = name.parse::<PluginName>() else { continue };
        plugins.slot_or_new(&name).set_candidate(Some(candidate));
        let lacking = lacking(on, plugins, &name).await?;
        if get_ready(plugins, &name, lacking).await.is_err() {
            // What may go better later is tried again.
            plugins.ask_for(name);
        }
    }
    Ok(())
}
