//! New versions, one after the other, each by a file that is renamed into the folder, so that the whole way in is gone.

use std::time::{Duration, Instant};

use looma::plugins::PluginInfo;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::host::{Host, Plugin};

/// One file in so many is damaged.
const DAMAGED: u32 = 10;
/// How long a file may take until something comes of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of it so far.
#[derive(Clone, Default)]
pub(super) struct Done {
    pub(super) swaps: u64,
    /// Damaged files that were refused.
    pub(super) refused: u64,
    /// From save to serving, at most.
    pub(super) slowest: Duration,
    pub(super) faults: Vec<String>,
}

/// Puts this version of every plugin in service.
pub(super) async fn renew_all(host: &Host, version: u32) {
    let saved: Vec<(&Plugin, String)> =
        host.plugins().iter().map(|plugin| (plugin, save_version(host, plugin, version))).collect();
    for (plugin, digest) in saved {
        came(host, plugin, |info| info.digest.as_ref() == Some(&digest)).await.expect("each good file serves");
        plugin.saw(version);
    }
}

/// Saves a version after `before` of one plugin after the other until the end.
pub(super) async fn go_on(host: Host, every: Duration, before: u32) {
    let mut next = interval(every);
    next.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for turn in 1_u32.. {
        next.tick().await;
        if host.ends() {
            return;
        }
        // A step that has no divisor in common with their number comes round to all of them.
        let plugin = &host.plugins()[turn as usize * 7 % host.plugins().len()];
        let done = match turn % DAMAGED {
            0 => damage(&host, plugin).await,
            _ => renew(&host, plugin, before + turn).await,
        };
        if let Err(fault) = done {
            host.note_reload().faults.push(fault);
        }
    }
}

/// A good version comes into service.
async fn renew(host: &Host, plugin: &Plugin, version: u32) -> Result<(), String> {
    let began = Instant::now();
    let digest = save_version(host, plugin, version);
    came(host, plugin, |info| info.digest.as_ref() == Some(&digest)).await?;
    plugin.saw(version);
    let mut done = host.note_reload();
    done.swaps += 1;
    done.slowest = done.slowest.max(began.elapsed());
    Ok(())
}

/// A damaged file is refused, and the version that serves goes on.
async fn damage(host: &Host, plugin: &Plugin) -> Result<(), String> {
    let mut component = std::fs::read(host.file(plugin)).expect("the file is there");
    component.truncate(component.len() / 2);
    let before = host.app().plugins.get(&plugin.name).and_then(|info| info.digest);
    save(host, plugin, &component);
    let info = came(host, plugin, |info| info.error.is_some()).await?;
    if info.digest != before {
        return Err(format!("{}: a damaged file put {:?} in the place of {before:?}", plugin.name, info.digest));
    }
    host.note_reload().refused += 1;
    Ok(())
}

/// Gives its digest.
fn save_version(host: &Host, plugin: &Plugin, version: u32) -> String {
    let (component, digest) = plugin.version(version);
    save(host, plugin, &component);
    digest
}

fn save(host: &Host, plugin: &Plugin, component: &[u8]) {
    let file = host.file(plugin);
    let new = file.with_extension("new");
    std::fs::write(&new, component).expect("a file is written");
    std::fs::rename(new, file).expect("a file is renamed");
}

async fn came(host: &Host, plugin: &Plugin, there: impl Fn(&PluginInfo) -> bool) -> Result<PluginInfo, String> {
    let began = Instant::now();
    loop {
        let info = host.app().plugins.get(&plugin.name);
        match info {
            Some(info) if there(&info) => return Ok(info),
            info if began.elapsed() > PATIENCE => {
                return Err(format!("{}: nothing came of a file: {info:?}", plugin.name));
            }
            _ => sleep(Duration::from_millis(5)).await,
        }
    }
}
