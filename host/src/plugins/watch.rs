//! The plugin folder: every `NAME.wasm` in it is a plugin. Files may be written in place, renamed into it or swapped by a
//! symbolic link; what counts is a whole file that differs from the one seen before.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use futures_util::stream::{self, StreamExt as _};
use notify::{
    EventKind, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};
use tokio::sync::mpsc;

use super::{
    PluginName, Source,
    keeper::{self, TakeError},
    load::{File, LoadError},
    refusal::{Blame, FileId},
    rollout::keep::system,
};
use crate::{app::App, feed::Changes, wasm::cache::Digest};

/// Saves come in bursts: how long it must be quiet before the folder is looked at.
const QUIET: Duration = Duration::from_millis(200);
/// The same after a file was closed or renamed, and so is whole.
const QUIET_WHOLE: Duration = Duration::from_millis(20);
/// Between two looks at a file that may still be written.
const SECOND_LOOK: Duration = Duration::from_millis(50);
const LOOKS: usize = 40;
/// Files that are loaded at once.
const AT_ONCE: usize = 2;

/// What was seen in the folder.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<PluginName, SeenFile>);

struct SeenFile {
    stamps: Stamps,
    digest: Digest,
    signature: Option<String>,
}

/// Of the component, and of the signature beside it.
type Stamps = (Stamp, Option<Stamp>);

/// Changes whenever a file does.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified_ns: i128,
}

/// When the folder is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// At the start: a file that another version has superseded stays out.
    Start,
    /// Something may be half-written.
    Later,
    /// Whatever changed was closed or renamed.
    Whole,
}

/// Looks at the folder and takes what changed. Files that are not taken are recorded states, and no failure here.
pub(super) async fn scan(app: &App, occasion: Occasion) -> anyhow::Result<()> {
    let mut seen = app.plugins.seen().lock().await;
    let folder = app.settings.plugins_dir();
    let files = list(&folder)?;
    for name in app.plugins.due_again().iter().filter(|name| files.contains_key(name)) {
        seen.0.remove(name);
    }
    let gone: Vec<PluginName> = seen.0.keys().filter(|name| !files.contains_key(name)).cloned().collect();
    let changed =
        files.into_iter().filter(|(name, (_, stamps))| seen.0.get(name).is_none_or(|seen| seen.stamps != *stamps));
    let looks = changed.map(|(name, (path, _))| look(app, name, path, occasion));
    let looked: Vec<_> = stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
    let mut news = Vec::new();
    for (name, found) in looked {
        // Whoever removed it while we looked is seen by the next look.
        let Some((file, wasm)) = found? else { continue };
        let (digest, signature) = (file.digest, file.signature.clone());
        let before = seen.0.insert(name.clone(), file);
        if before.is_none_or(|before| before.digest != digest || before.signature != signature) {
            news.push((name, wasm, signature));
        }
    }
    let takes = news.into_iter().map(|(name, wasm, signature)| async move {
        let taken = take(app, &name, wasm, signature, occasion).await;
        (name, taken)
    });
    for (name, taken) in stream::iter(takes).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
        if let Err(error) = taken {
            // The next look tries again.
            seen.0.remove(&name);
            return Err(error);
        }
    }
    for name in gone {
        seen.0.remove(&name);
        lose(app, &name).await?;
    }
    Ok(())
}

fn list(folder: &Path) -> anyhow::Result<BTreeMap<PluginName, (PathBuf, Stamps)>> {
    let mut files = BTreeMap::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(error).with_context(|| format!("could not read the folder {}", folder.display())),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if path.extension().is_none_or(|extension| extension != "wasm") || stem.starts_with('.') {
            continue;
        }
        match stem.parse::<PluginName>() {
            Ok(name) => {
                // It may be gone by now, or be a link that leads nowhere.
                if let Some(file) = fs::metadata(&path).ok().filter(fs::Metadata::is_file) {
                    let signature = fs::metadata(beside(&path)).ok().map(|file| stamp(&file));
                    files.insert(name, (path, (stamp(&file), signature)));
                }
            }
            Err(why) => tracing::warn!("{} is left alone: {why}", path.display()),
        }
    }
    Ok(files)
}

fn stamp(file: &fs::Metadata) -> Stamp {
    let modified_ns = i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec());
    Stamp { device: file.dev(), inode: file.ino(), length: file.len(), modified_ns }
}

/// Where the signature of a component stands.
fn beside(component: &Path) -> PathBuf {
    component.with_extension("wasm.sig")
}

type Look = Option<(SeenFile, Result<Arc<[u8]>, String>)>;

/// Reads a file once it stands still.
async fn look(app: &App, name: PluginName, path: PathBuf, occasion: Occasion) -> (PluginName, anyhow::Result<Look>) {
    let most = app.settings.plugins.max_component_bytes;
    let mut last: Option<SeenFile> = None;
    for _ in 0..LOOKS {
        let (stamps, wasm, signature) = match read(&path, most) {
            Ok(Some(read)) => read,
            Ok(None) => return (name, Ok(None)),
            Err(error) => return (name, Err(error)),
        };
        let digest = Digest::of(wasm.as_deref().unwrap_or_default());
        let still = last.as_ref().is_some_and(|last| last.stamps == stamps && last.digest == digest);
        let file = SeenFile { stamps, digest, signature };
        if still || occasion == Occasion::Whole {
            return (name, Ok(Some((file, wasm))));
        }
        last = Some(file);
        tokio::time::sleep(SECOND_LOOK).await;
    }
    tracing::warn!(plugin.name = %name, "{} does not stand still, looking again later", path.display());
    (name, Ok(None))
}

/// A file that is there: its bytes, or why they are not read, and the signature beside it.
type Read = (Stamps, Result<Arc<[u8]>, String>, Option<String>);

fn read(path: &Path, most: u64) -> anyhow::Result<Option<Read>> {
    let there = |result: std::io::Result<_>| match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some).with_context(|| format!("could not read {}", path.display())),
    };
    let Some(file) = there(fs::metadata(path))? else { return Ok(None) };
    let (signed_at, signature) = signature(&beside(path));
    let stamps = (stamp(&file), signed_at);
    if file.len() > most {
        let why = format!("the file has {} bytes, at most {most} are taken", file.len());
        return Ok(Some((stamps, Err(why), signature)));
    }
    match fs::read(path) {
        Ok(bytes) => Ok(Some((stamps, Ok(bytes.into()), signature))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Ok(Some((stamps, Err(format!("the file cannot be read: {error}")), signature))),
    }
}

/// A signature file, as far as it can be a signature. One that cannot be read is no signature, and not none.
fn signature(path: &Path) -> (Option<Stamp>, Option<String>) {
    const MOST: u64 = 1_000;
    let Ok(file) = fs::metadata(path) else { return (None, None) };
    let text = match file.len() {
        0..=MOST => {
            fs::read(path).map_or_else(|error| error.to_string(), |text| String::from_utf8_lossy(&text).into_owned())
        }
        _ => "too long".to_owned(),
    };
    (Some(stamp(&file)), Some(text.trim().to_owned()))
}

async fn take(
    app: &App,
    name: &PluginName,
    wasm: Result<Arc<[u8]>, String>,
    signature: Option<String>,
    occasion: Occasion,
) -> anyhow::Result<()> {
    let wasm = match wasm {
        Ok(wasm) => wasm,
        Err(why) => {
            let error = LoadError { name: name.clone(), reason: why, blame: Blame::Host };
            app.plugins.refuse(FileId { digest: Digest::of(&[]), signature }, &error, Source::Folder);
            return Ok(keeper::publish(app, name).await?);
        }
    };
    let file = File::new(wasm, Source::Folder, app.clock.now(), signature);
    if occasion == Occasion::Start && keeper::is_superseded(app, name, &file.digest.to_string()).await? {
        tracing::info!(plugin.name = %name, "the file of plugin {name} in the folder is older than what serves");
        return Ok(());
    }
    match keeper::take(app, name, file, Changes::by(system("plugins.watch"))).await {
        // Whoever was faster has taken another file, or the same.
        Ok(_) | Err(TakeError::Refused(_) | TakeError::Moved) => Ok(()),
        Err(TakeError::Database(error)) => Err(error.into()),
    }
}

/// A file is gone from the folder: so is the plugin, unless it is in use or did not come from there.
async fn lose(app: &App, name: &PluginName) -> anyhow::Result<()> {
    if !keeper::is_from_folder(app, name) {
        return Ok(());
    }
    if let Some((owner, _)) = app.plugins.configs_in_use(name).first() {
        tracing::warn!(plugin.name = %name, "the file of plugin {name} is gone; it serves on, {owner} uses it");
        return Ok(());
    }
    tracing::info!(plugin.name = %name, "the file of plugin {name} is gone, and so is the plugin");
    keeper::remove(app, name, Changes::by(system("plugins.watch"))).await.map(drop)
}

/// Removes a plugin's file from the folder, if it is there.
pub(super) async fn remove_file(app: &App, name: &PluginName) -> anyhow::Result<()> {
    let file = app.settings.plugins_dir().join(format!("{name}.wasm"));
    for file in [beside(&file), file] {
        match tokio::fs::remove_file(&file).await {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("could not remove {}", file.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Looks at the folder whenever something happens in it, until the program stops.
pub(super) async fn watch(app: App) {
    loop {
        if let Err(error) = watch_until_broken(&app).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "the plugin folder is not watched, it is looked at each minute"
            );
        }
        app.clock.sleep(Duration::from_secs(60)).await;
    }
}

async fn watch_until_broken(app: &App) -> anyhow::Result<()> {
    let folder = app.settings.plugins_dir();
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if let Some(occasion) = event.map_or(Some(Occasion::Later), |event| occasion(event.kind)) {
            // The receiver is gone when the server stops.
            let _ = tell.send(occasion);
        }
    })?;
    watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    // A folder that is a link is swapped by renaming another link over it, which only its parent sees.
    if fs::symlink_metadata(&folder).is_ok_and(|link| link.is_symlink())
        && let Some(parent) = folder.parent()
    {
        watcher.watch(parent, RecursiveMode::NonRecursive)?;
    }
    while let Some(first) = told.recv().await {
        let mut worst = first;
        loop {
            let quiet = if worst == Occasion::Whole { QUIET_WHOLE } else { QUIET };
            match tokio::time::timeout(quiet, told.recv()).await {
                Ok(Some(Occasion::Whole)) => worst = Occasion::Whole,
                Ok(Some(other)) => worst = other,
                Ok(None) | Err(_) => break,
            }
        }
        if let Err(error) = scan(app, worst).await {
            tracing::warn!(error = format!("{error:#}"), "could not look at the plugin folder");
        }
    }
    Ok(())
}

/// What an event means: nothing, a whole file, or something that may still be under way.
fn occasion(kind: EventKind) -> Option<Occasion> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Occasion::Whole),
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => Some(Occasion::Whole),
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => None,
        _ => Some(Occasion::Later),
    }
}
