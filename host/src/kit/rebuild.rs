//! Rebuilding a plugin when its source changes: what makes `looma dev` a place to write plugins in.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use notify::{EventKind, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::build;

/// Saves come in bursts: the build begins when there was none for this long.
const QUIET: Duration = Duration::from_millis(150);

/// Rebuilds into `out` whatever changes under `WORKSPACE/plugins`, until it is dropped. A build that fails is told and
/// leaves the last good component where it is.
pub async fn rebuild_on_change(workspace: PathBuf, out: PathBuf) -> anyhow::Result<()> {
    let sources = workspace.join("plugins").canonicalize().context("could not find the folder of the plugins")?;
    let (tell, mut told) = mpsc::unbounded_channel();
    let root = sources.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        if matches!(event.kind, EventKind::Access(_)) {
            return;
        }
        for plugin in event.paths.iter().filter_map(|path| plugin_of(&root, path)) {
            // The receiver is gone when the server stops.
            let _ = tell.send(plugin);
        }
    })?;
    watcher.watch(&sources, RecursiveMode::Recursive)?;
    while let Some(first) = told.recv().await {
        let mut changed = BTreeSet::from([first]);
        while let Ok(Some(more)) = tokio::time::timeout(QUIET, told.recv()).await {
            changed.insert(more);
        }
        // What every plugin stands on has changed.
        if changed.contains("sdk") {
            report("the plugins", build::build_bundled(&workspace, &out).await.map(drop));
            continue;
        }
        for name in changed {
            report(&name, build::build(&sources.join(&name), &out).await.map(drop));
        }
    }
    Ok(())
}

fn report(what: &str, built: anyhow::Result<()>) {
    match built {
        Ok(()) => tracing::info!("rebuilt {what}"),
        Err(error) => tracing::error!("could not rebuild {what}: {error:#}"),
    }
}

/// The plugin whose source `path` is: the folder below `root`, for a source or a manifest.
fn plugin_of(root: &Path, path: &Path) -> Option<String> {
    let below = path.strip_prefix(root).ok()?;
    let extension = path.extension()?.to_str()?;
    let source =
        ["rs", "toml", "json", "wit"].contains(&extension) && !below.components().any(|c| c.as_os_str() == "target");
    let name = below.components().next()?.as_os_str().to_str()?;
    source.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_belongs_to_the_plugin_whose_source_it_is() {
        let root = Path::new("/w/plugins");
        assert_eq!(plugin_of(root, Path::new("/w/plugins/threshold/src/lib.rs")).as_deref(), Some("threshold"));
        assert_eq!(plugin_of(root, Path::new("/w/plugins/sdk/Cargo.toml")).as_deref(), Some("sdk"));
        assert_eq!(plugin_of(root, Path::new("/w/plugins/threshold/target/x/lib.rs")), None);
        assert_eq!(plugin_of(root, Path::new("/w/plugins/threshold/src/.lib.rs.swp")), None);
        assert_eq!(plugin_of(root, Path::new("/w/host/src/lib.rs")), None);
    }
}
