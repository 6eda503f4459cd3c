//! Calls under way on a version, and the end of those that are still there long after it was replaced.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::types::DrainingVersion;
use crate::{
    clock::Timestamp,
    plugins::{types::PluginRef, version::Version},
};

/// How many calls a version has under way, and whether they may go on.
#[derive(Debug, Default)]
pub(in crate::plugins) struct Life {
    calls: AtomicUsize,
    end: CancellationToken,
}

/// One call under way.
pub(in crate::plugins) struct UnderWay(Arc<Life>);

impl Life {
    pub(in crate::plugins) fn enter(self: &Arc<Self>) -> UnderWay {
        self.calls.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    pub(in crate::plugins) fn is_over(&self) -> bool {
        self.end.is_cancelled()
    }

    /// Returns once no call may go on.
    pub(in crate::plugins) async fn over(&self) {
        self.end.cancelled().await;
    }

    pub(in crate::plugins) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Versions that were replaced and may have calls under way.
#[derive(Default)]
pub(super) struct Drain(Mutex<Vec<Draining>>);

struct Draining {
    plugin: PluginRef,
    version: Version,
    /// Since when it has been seen here.
    since: Option<Timestamp>,
}

impl Drain {
    fn all(&self) -> MutexGuard<'_, Vec<Draining>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, plugin: PluginRef, version: Version) {
        self.all().push(Draining { plugin, version, since: None });
    }

    pub(super) fn shown(&self) -> Vec<DrainingVersion> {
        let busy = |draining: &Draining| {
            let PluginRef { name: _, version, digest } = draining.plugin.clone();
            let calls = draining.version.life().calls();
            (calls > 0).then_some(DrainingVersion { version, digest, calls })
        };
        self.all().iter().filter_map(busy).collect()
    }

    /// Lets go of versions without calls, and ends the calls of those that have had `patience`. Gives what was ended.
    pub(super) fn sweep(&self, now: Timestamp, patience: Duration) -> Vec<DrainingVersion> {
        let mut ended = Vec::new();
        self.all().retain_mut(|draining| {
            let life = draining.version.life();
            let calls = life.calls();
            if calls == 0 {
                return false;
            }
            let since = *draining.since.get_or_insert(now);
            if now.since(since) >= patience && !life.is_over() {
                life.end.cancel();
                let PluginRef { name: _, version, digest } = draining.plugin.clone();
                ended.push(DrainingVersion { version, digest, calls });
            }
            true
        });
        ended
    }
}
