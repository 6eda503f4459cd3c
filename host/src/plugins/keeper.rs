//! Keeping plugins: what serves is committed to the database before it serves, and every replica follows.
//!
//! Memory changes only when a change of the feed is applied, so that what the database says and what serves are one.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{
    PluginInfo, PluginName, Plugins, Source,
    load::{File, LoadError, Stage, Staged},
    queries::{self, KnownVersion},
    refusal::{Blame, FileId, Why},
    rollout::{
        keep::{self, Step},
        types::{Action, Stage as RolloutStage},
    },
    slot::{Before, Switch, Turn},
    types::{self, EarlierVersion},
};
use crate::{
    app::App,
    db::{self, AsConn, DbError},
    feed::{Actor, Change, Changes, Op, Topic},
    http::auth::Scope,
    wasm::cache::Digest,
};

/// Plugins as people see them.
pub(super) const PLUGINS: Topic = Topic { name: "plugins", scope: Some(Scope::PluginsRead) };
/// Which version serves, for the replicas alone.
pub(super) const SERVING: Topic = Topic { name: "plugin-serving", scope: None };

/// What `SERVING` carries.
#[derive(Debug, Serialize, Deserialize)]
struct ServingNow {
    serving: String,
    enabled: bool,
}

/// Why a file does not serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum TakeError {
    /// It is at fault.
    #[error(transparent)]
    Refused(#[from] LoadError),
    /// The database is.
    #[error("the database failed")]
    Database(#[from] DbError),
    /// It is not where it was: somebody else was faster.
    #[error("the version changed meanwhile")]
    Moved,
}

/// How a version comes into service.
pub(super) struct Coming {
    pub(super) action: Action,
    pub(super) reason: Option<String>,
    /// Where it stood as a version on its way, if it was one.
    pub(super) from: Option<RolloutStage>,
}

impl Coming {
    fn at_once() -> Self {
        Self { action: Action::Loaded, reason: None, from: None }
    }

    /// Back again; `from` is where the version stood that goes, if that is known.
    pub(super) fn back(reason: &str, from: Option<RolloutStage>) -> Self {
        Self { action: Action::RolledBack, reason: Some(reason.to_owned()), from }
    }
}

/// Takes a file: when it can serve it is kept, and serves on every replica, or is on its way there. Gives the plugin, and whether it
/// is new.
pub(super) async fn take(
    app: &App,
    name: &PluginName,
    file: File,
    changes: Changes,
) -> Result<(PluginInfo, Novelty), TakeError> {
    let (wasm, source, id) = (file.wasm.clone(), file.source, file.id());
    let digest = id.digest;
    if let Some(reason) = keep::rejected(app, name, &digest.to_string()).filter(|_| source == Source::Folder) {
        let error = LoadError { name: name.clone(), reason, blame: Blame::File };
        app.plugins.refuse(id, &error, source);
        publish(app, name).await?;
        return Err(error.into());
    }
    let known = source == Source::Folder && app.plugins.slot(name).is_some_and(|slot| slot.refused_last(&id));
    let refused = match app.plugins.stage(name, file).await {
        Ok(Stage::Serving(_)) => {
            // It may have mended what another file broke.
            publish(app, name).await?;
            return Ok((app.plugins.get(name).ok_or_else(|| gone(name))?, Novelty::Known));
        }
        Ok(Stage::Ready(staged)) => {
            if keep::on_its_way(app, name).is_some_and(|candidate| candidate.digest() == digest.to_string()) {
                return Ok((app.plugins.get(name).ok_or_else(|| gone(name))?, Novelty::Known));
            }
            match app.plugins.try_states(&staged).await {
                Ok(()) => {
                    let info = match keep::first_stage(app, &staged) {
                        Some(stage) => keep::begin(app, staged, &wasm, stage, changes).await?,
                        None => commit(app, staged, Some(&wasm), changes, Coming::at_once()).await?,
                    };
                    return Ok((info, Novelty::New));
                }
                Err(Why { reason, blame }) => {
                    let refused = LoadError { name: name.clone(), reason: types::cut(reason), blame };
                    if source == Source::Folder {
                        app.plugins.refuse(id, &refused, source);
                    }
                    refused
                }
            }
        }
        Err(refused) => refused,
    };
    // What the host could not do now says nothing of the version, and what is tried again is told once.
    let told = refused.blame != Blame::Host
        && !known
        && keep::refuse(app, name, &refused, (&digest.to_string(), source), changes).await?;
    if !told {
        publish(app, name).await?;
    }
    Err(refused.into())
}

/// Writes into the audit that a component, whose name is not known, was refused for its signature.
pub(super) async fn audit_refusal(app: &App, wasm: &[u8], reason: &str, actor: Actor) -> db::Result<()> {
    let digest = Digest::of(wasm).to_string();
    let told = serde_json::json!({"digest": digest, "reason": reason});
    let mut changes = Changes::by(actor);
    changes.audit(PLUGINS.name, &digest, Action::Refused.as_str(), None, Some(told));
    let tx = app.db.write().await?;
    app.feed.commit(tx, changes).await.map(drop)
}

/// Whether a file was the one that serves already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    New,
    Known,
}

pub(super) async fn commit(
    app: &App,
    staged: Staged,
    wasm: Option<&[u8]>,
    mut changes: Changes,
    coming: Coming,
) -> Result<PluginInfo, TakeError> {
    let now = app.clock.now();
    let plugin = staged.plugin().clone();
    let name = plugin.name.clone();
    let Some(mut after) = staged.info() else { return Err(gone(&name).into()) };
    let slot = app.plugins.slot_or_new(&name);
    let to = keep::reference(staged.release());
    let candidate = keep::guarded(app, &slot, staged.release(), &coming);
    let mut tx = app.db.write().await?;
    if let Some(wasm) = wasm {
        queries::keep_file(&mut tx, &plugin.digest, wasm, now).await?;
    }
    let version = KnownVersion {
        plugin_name: name.to_string(),
        digest: plugin.digest.clone(),
        version: plugin.version,
        kind: staged.kind(),
        source: staged.source(),
        loaded_at: now,
        signature: staged.signature().map(str::to_owned),
    };
    queries::keep_version(&mut tx, &version).await?;
    let enabled = queries::set_serving(&mut tx, &name, &plugin.digest, now).await?;
    keep::replace(app, &mut tx, &mut changes, &slot, &to).await?;
    changes.put_quietly(SERVING, name.as_str(), &ServingNow { serving: plugin.digest, enabled });
    if let Some(candidate) = &candidate {
        keep::put_guarded(&mut tx, &name, candidate, coming.from).await?;
        changes.put_quietly(keep::CANDIDATES, name.as_str(), candidate);
        after.rollout = Some(candidate.shown());
    }
    queries::prune_files(&mut tx).await?;
    let before = slot.current().map(|current| keep::reference(&current));
    let (action, reason) = (coming.action, coming.reason.as_deref());
    keep::write(app, &mut tx, &mut changes, Step { name: &name, action, reason, from: before.as_ref(), to: Some(&to) })
        .await?;
    changes.put(PLUGINS, name.as_str(), app.plugins.get(&name).as_ref(), &after);
    let _pending = app.plugins.pend(staged);
    app.feed.commit(tx, changes).await?;
    Ok(after)
}

/// Goes back to the version before; `None` when there is none.
pub(super) async fn roll_back(
    app: &App,
    name: &PluginName,
    changes: Changes,
    coming: Coming,
) -> Result<Option<PluginInfo>, TakeError> {
    let Some(slot) = app.plugins.slot(name) else { return Ok(None) };
    let staged = match slot.before() {
        None => return Ok(None),
        Some(Before::Ready(release)) => app.plugins.stage_again(&slot, &release).await,
        Some(Before::Known(digest)) => {
            let Some(file) = stored(&mut app.db.read().await?, name, &digest).await? else { return Ok(None) };
            match app.plugins.stage(name, File { loaded_at: app.clock.now(), ..file }).await? {
                Stage::Ready(staged) => staged,
                Stage::Serving(_) => return Ok(app.plugins.get(name)),
            }
        }
    };
    commit(app, staged, None, changes, coming).await.map(Some)
}

/// Lets calls through or not; `None` when there is no such plugin.
pub(super) async fn switch(
    app: &App,
    name: &PluginName,
    to: Switch,
    mut changes: Changes,
) -> db::Result<Option<PluginInfo>> {
    let Some(slot) = app.plugins.slot(name) else { return Ok(None) };
    let (before, Some(after)) = (slot.info(), slot.info_when(to)) else { return Ok(None) };
    let mut tx = app.db.write().await?;
    let enabled = to == Switch::On;
    if !queries::set_enabled(&mut tx, name, enabled, app.clock.now()).await? {
        return Ok(None);
    }
    let serving = after.digest.clone().unwrap_or_default();
    changes.put_quietly(SERVING, name.as_str(), &ServingNow { serving, enabled });
    let action = if enabled { Action::Enabled } else { Action::Disabled };
    keep::write(app, &mut tx, &mut changes, Step { name, action, reason: None, from: None, to: None }).await?;
    changes.put(PLUGINS, name.as_str(), before.as_ref(), &after);
    app.feed.commit(tx, changes).await?;
    Ok(Some(after))
}

/// Forgets a plugin: its versions, its keys, and its file in the folder. `None` when there is no such plugin.
pub(super) async fn remove(app: &App, name: &PluginName, mut changes: Changes) -> anyhow::Result<Option<PluginInfo>> {
    let Some(info) = app.plugins.get(name) else { return Ok(None) };
    super::watch::remove_file(app, name).await?;
    let mut tx = app.db.write().await?;
    queries::delete(&mut tx, name).await?;
    changes.delete_quietly(SERVING, name.as_str());
    changes.delete(PLUGINS, name.as_str(), &info);
    app.feed.commit(tx, changes).await?;
    Ok(Some(info))
}

/// Shows watchers what became of a plugin without its serving version changing.
pub(super) async fn publish(app: &App, name: &PluginName) -> db::Result<()> {
    let Some(info) = app.plugins.get(name) else { return Ok(()) };
    let mut changes = Changes::unaudited();
    changes.put_quietly(PLUGINS, name.as_str(), &info);
    let tx = app.db.write().await?;
    app.feed.commit(tx, changes).await.map(drop)
}

/// Applies a change of `SERVING` to memory. What another replica brought is asked for, and loaded by `follow`.
pub(super) fn apply(plugins: &Plugins, change: &Change) {
    let Ok(name) = change.key.parse::<PluginName>() else { return };
    if change.op == Op::Delete {
        plugins.forget(&name);
        return;
    }
    let Some(ServingNow { serving, enabled }) = change.read::<ServingNow>() else { return };
    plugins.slot_or_new(&name).switch(if enabled { Switch::On } else { Switch::Off });
    if let Some(staged) = plugins.pending(&name, &serving) {
        return staged.serve();
    }
    if plugins.digest(&name).as_deref() == Some(&serving) {
        return;
    }
    // A version that is ready here serves at once; what is not is asked for.
    let slot = plugins.slot_or_new(&name);
    match slot.rollout.held(&serving).or_else(|| slot.earlier(&serving)) {
        Some(ready) => slot.swap(&ready.again(change.at)),
        None => plugins.ask_for(name),
    }
}

/// Puts in service what the database says. Fails when that may go better later.
pub(super) async fn follow(app: &App, name: &PluginName) -> anyhow::Result<()> {
    let (file, serving, known) = {
        // No connection is held while a file is compiled.
        let mut reader = app.db.read().await?;
        let Some(row) = queries::find(&mut reader, name).await? else { return Ok(()) };
        let file = stored(&mut reader, name, &row.serving).await?;
        let file = file.with_context(|| format!("the file of plugin {name} is not kept"))?;
        (file, row.serving, queries::versions(&mut reader, name).await?)
    };
    let (id, source) = (file.id(), file.source);
    match app.plugins.stage(name, file).await {
        Ok(Stage::Ready(staged)) => {
            let row = queries::find(&mut app.db.read().await?, name).await?;
            anyhow::ensure!(row.is_none_or(|row| row.serving == serving), "plugin {name} was replaced meanwhile");
            staged.serve();
        }
        Ok(Stage::Serving(_)) => {}
        Err(error) => {
            note_refusal(&app.plugins, id, &error, source);
            anyhow::ensure!(error.blame == Blame::File, error);
        }
    }
    remember(&app.plugins, name, known);
    let lacking = keep::lacking(&mut app.db.read().await?, &app.plugins, name).await?;
    Ok(keep::get_ready(&app.plugins, name, lacking).await?)
}

/// Writes down what became of a plugin by itself: a version that it rolled back from, or a quarantine and its end. Operators are
/// told by the history, by the audit and by the feed.
pub(super) async fn note(app: &App, name: &PluginName, turn: Turn) -> anyhow::Result<()> {
    let Some(slot) = app.plugins.slot(name) else { return Ok(()) };
    let (Some(current), Some(info)) = (slot.current(), slot.info()) else { return Ok(()) };
    let mut tx = app.db.write().await?;
    let Some(row) = queries::find(&mut tx, name).await? else { return Ok(()) };
    let mut changes = Changes::by(keep::system("plugins"));
    let (to, reason) = (keep::reference(&current), info.error.as_deref());
    match turn {
        Turn::Quarantined | Turn::Recovered => {
            let (action, told) = match turn {
                Turn::Quarantined => (Action::Quarantined, "quarantine"),
                _ => (Action::Recovered, "recover"),
            };
            let step = Step { name, action, reason, from: None, to: Some(&to) };
            keep::write(app, &mut tx, &mut changes, step).await?;
            changes.audit(PLUGINS.name, name.as_str(), told, None, Some(serde_json::to_value(&info)?));
        }
        // Unless the database says otherwise by now: another version came.
        Turn::RolledBack if row.serving != to.digest && slot.has_refused(&row.serving) => {
            let now = app.clock.now();
            queries::set_serving(&mut tx, name, &to.digest, now).await?;
            if let Some(known) = queries::version(&mut tx, name, &to.digest).await? {
                queries::keep_version(&mut tx, &KnownVersion { loaded_at: now, ..known }).await?;
            }
            let serving = ServingNow { serving: to.digest.clone(), enabled: row.enabled };
            changes.put_quietly(SERVING, name.as_str(), &serving);
            let lost = keep::taken_back(&mut tx, name, &row.serving, (&to, info.error.clone()), now).await?;
            changes.put_quietly(keep::CANDIDATES, name.as_str(), &lost);
            let step = Step { name, action: Action::RolledBack, reason, from: Some(&lost.plugin), to: Some(&to) };
            keep::write(app, &mut tx, &mut changes, step).await?;
        }
        Turn::RolledBack => {}
    }
    changes.put_quietly(PLUGINS, name.as_str(), &info);
    app.feed.commit(tx, changes).await?;
    Ok(())
}

/// Loads every plugin that the database knows, as `on` sees it.
pub(super) async fn load(on: &mut dyn AsConn, plugins: &Plugins) -> anyhow::Result<()> {
    for row in queries::all(on).await? {
        let Ok(name) = row.plugin_name.parse::<PluginName>() else { continue };
        plugins.slot_or_new(&name).switch(if row.enabled { Switch::On } else { Switch::Off });
        match stored(on, &name, &row.serving).await? {
            None => {
                let digest = row.serving;
                tracing::error!(plugin.name = %name, plugin.digest = digest, "the file of plugin {name} is not kept any more");
            }
            Some(file) => match serve_stored(plugins, &name, file).await {
                // It is recorded; what may go better later is tried again.
                Err(error) if error.blame != Blame::File => plugins.ask_for(name.clone()),
                _ => {}
            },
        }
        remember(plugins, &name, queries::versions(on, &name).await?);
    }
    Ok(())
}

/// Puts a stored version in service. That it is not taken is a recorded state.
async fn serve_stored(plugins: &Plugins, name: &PluginName, file: File) -> Result<(), LoadError> {
    let (id, source) = (file.id(), file.source);
    match plugins.stage(name, file).await {
        Ok(Stage::Ready(staged)) => staged.serve(),
        Ok(Stage::Serving(_)) => {}
        Err(error) => {
            note_refusal(plugins, id, &error, source);
            return Err(error);
        }
    }
    Ok(())
}

/// What came from the folder is noted already.
fn note_refusal(plugins: &Plugins, file: FileId, error: &LoadError, source: Source) {
    if source != Source::Folder {
        plugins.refuse(file, error, source);
    }
}

fn remember(plugins: &Plugins, name: &PluginName, known: Vec<KnownVersion>) {
    let known = known.into_iter();
    let known =
        known.map(|KnownVersion { version, digest, loaded_at, .. }| EarlierVersion { version, digest, loaded_at });
    plugins.slot_or_new(name).remember(known.collect());
}

async fn stored(on: &mut dyn AsConn, name: &PluginName, digest: &str) -> db::Result<Option<File>> {
    let Some(known) = queries::version(on, name, digest).await? else { return Ok(None) };
    let file = queries::file(on, digest).await?;
    let KnownVersion { source, loaded_at, signature, .. } = known;
    Ok(file.map(|wasm| File::new(wasm.into(), source, loaded_at, signature)))
}

pub(super) fn gone(name: &PluginName) -> LoadError {
    LoadError { name: name.clone(), reason: "it was removed in the meantime".to_owned(), blame: Blame::Use }
}

/// Whether this file of the folder was superseded: taken once, and another version serves since.
pub(super) async fn is_superseded(app: &App, name: &PluginName, digest: &str) -> db::Result<bool> {
    let mut reader = app.db.read().await?;
    let serving = queries::find(&mut reader, name).await?;
    let known = queries::version(&mut reader, name, digest).await?;
    Ok(known.is_some() && serving.is_some_and(|row| row.serving != digest))
}

/// The source of what serves.
pub(super) fn is_from_folder(app: &App, name: &PluginName) -> bool {
    app.plugins.get(name).is_some_and(|info| info.source == Source::Folder)
}
