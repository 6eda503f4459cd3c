//! The place of one plugin name: the version that serves, those before it, and what is the matter. A swap is one atomic store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwapOption;

use crate::wasm::cache::Digest;

use super::grants::Grants;
use super::health::{Health, Verdict};
use super::kinds::lifecycle::Descriptor;
use super::types::{CallError, EarlierVersion, PluginInfo, PluginName, PluginRef, Source, State};
use super::version::Version;

/// Earlier versions that are kept.
const EARLIER: usize = 3;

/// A version that was taken.
pub(super) struct Release {
    pub(super) version: Version,
    pub(super) plugin: PluginRef,
    pub(super) digest: Digest,
    pub(super) descriptor: Descriptor,
    pub(super) loaded_at_ms: i64,
    pub(super) source: Source,
}

/// A file that was not taken.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) digest: Digest,
    pub(super) error: String,
    pub(super) source: Source,
}

/// The place of one plugin.
pub(super) struct Slot {
    pub(super) name: PluginName,
    /// One file at a time is loaded for a name.
    pub(super) loading: tokio::sync::Mutex<()>,
    current: ArcSwapOption<Release>,
    rest: Mutex<Rest>,
    calls: AtomicU64,
    failures: AtomicU64,
}

#[derive(Default)]
struct Rest {
    earlier: Vec<Arc<Release>>,
    refused: Option<Refused>,
    /// What an operator rolled back from; the folder does not bring it in again.
    left: Option<Digest>,
    disabled: bool,
    grants: Arc<Grants>,
    health: Health,
    swapped_at: Option<Instant>,
}

impl Slot {
    pub(super) fn new(name: PluginName) -> Self {
        Self {
            name,
            loading: tokio::sync::Mutex::default(),
            current: ArcSwapOption::empty(),
            rest: Mutex::default(),
            calls: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version that serves, whether or not calls are let through.
    pub(super) fn current(&self) -> Option<Arc<Release>> {
        self.current.load_full()
    }

    /// The version to call, or why there is none.
    pub(super) fn serving(&self) -> Result<Arc<Release>, CallError> {
        let not = |state, reason| CallError::NotServing { name: self.name.clone(), state, reason };
        let mut rest = self.rest();
        if rest.disabled {
            return Err(not(State::Disabled, "an operator switched it off".to_owned()));
        }
        if let Err(reason) = rest.health.admit(Instant::now()) {
            return Err(not(State::Quarantined, reason));
        }
        self.current.load_full().ok_or_else(|| {
            let error = rest.refused.as_ref().map_or("it has no file", |refused| &refused.error);
            not(State::Failed, error.to_owned())
        })
    }

    pub(super) fn grants(&self) -> Arc<Grants> {
        Arc::clone(&self.rest().grants)
    }

    /// Why this very file is known not to be worth another try.
    pub(super) fn refusal(&self, digest: Digest) -> Option<String> {
        let rest = self.rest();
        rest.refused.as_ref().filter(|refused| refused.digest == digest).map(|refused| refused.error.clone())
    }

    /// Whether an operator rolled back from this file.
    pub(super) fn has_left(&self, digest: Digest) -> bool {
        self.rest().left == Some(digest)
    }

    /// Forgets a refusal: the file that serves is the one that lies there.
    pub(super) fn clear_refusal(&self) -> bool {
        self.rest().refused.take().is_some()
    }

    pub(super) fn refuse(&self, refused: Refused) {
        self.rest().refused = Some(refused);
    }

    /// Puts a new version in service; the one before is kept.
    pub(super) fn swap(&self, release: Release) {
        let mut rest = self.rest();
        let before = self.current.swap(Some(Arc::new(release)));
        if let Some(before) = before {
            rest.keep(before);
        }
        rest.refused = None;
        rest.left = None;
        rest.health = Health::default();
        rest.swapped_at = Some(Instant::now());
    }

    /// Goes back to the version before, if there is one.
    pub(super) fn roll_back(&self) -> Option<Arc<Release>> {
        let mut rest = self.rest();
        self.step_back(&mut rest).map(|(to, _)| to)
    }

    fn step_back(&self, rest: &mut Rest) -> Option<(Arc<Release>, Arc<Release>)> {
        if rest.earlier.is_empty() {
            return None;
        }
        let to = rest.earlier.remove(0);
        let from = self.current.swap(Some(Arc::clone(&to)))?;
        rest.left = Some(from.digest);
        rest.keep(Arc::clone(&from));
        rest.health = Health::default();
        rest.swapped_at = None;
        Some((to, from))
    }

    pub(super) fn enable(&self) {
        let mut rest = self.rest();
        rest.disabled = false;
        rest.health = Health::default();
    }

    pub(super) fn disable(&self) {
        self.rest().disabled = true;
    }

    /// Puts other grants in force, for the versions kept as well.
    pub(super) fn set_grants(&self, grants: Arc<Grants>) {
        let mut rest = self.rest();
        let regrant = |release: &Release| {
            let Release { version, plugin, digest, descriptor, loaded_at_ms, source } = release;
            Arc::new(Release {
                version: version.regrant(&grants),
                plugin: plugin.clone(),
                digest: *digest,
                descriptor: descriptor.clone(),
                loaded_at_ms: *loaded_at_ms,
                source: *source,
            })
        };
        rest.earlier = rest.earlier.iter().map(|release| regrant(release)).collect();
        if let Some(current) = self.current.load_full() {
            self.current.store(Some(regrant(&current)));
        }
        rest.grants = grants;
    }

    /// Takes note of how a call went. Says in words when the plugin's state changed by it.
    pub(super) fn note(&self, by: &Arc<Release>, failed: Option<&CallError>) -> Option<String> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let fault = match failed {
            None => None,
            Some(CallError::InvalidConfig(_) | CallError::InvalidInput(_) | CallError::Busy) => return None,
            Some(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                error.is_fault().then(|| error.to_string())
            }
        };
        let mut rest = self.rest();
        if self.current.load().as_ref().is_none_or(|current| current.digest != by.digest) {
            return None;
        }
        let guarded = rest.swapped_at;
        match rest.health.note(fault, Instant::now(), guarded) {
            Verdict::Same => None,
            Verdict::Recovered => Some("serves again".to_owned()),
            Verdict::RollBack(why) => {
                let Some((to, from)) = self.step_back(&mut rest) else {
                    return Some(rest.health.quarantine(&why, Instant::now()));
                };
                let error =
                    format!("version {} failed right after it came in and was rolled back: {why}", from.plugin.version);
                rest.refused = Some(Refused { digest: from.digest, error, source: from.source });
                Some(format!("went back to version {}: {why}", to.plugin.version))
            }
            Verdict::Quarantine(why) => Some(rest.health.quarantine(&why, Instant::now())),
        }
    }

    /// The plugin as people see it, or nothing when there is only a place kept for it.
    pub(super) fn info(&self) -> Option<PluginInfo> {
        let current = self.current.load_full();
        let rest = self.rest();
        let refused = rest.refused.as_ref();
        let source = current.as_ref().map(|c| c.source).or(refused.map(|r| r.source))?;
        let (state, error) = match (rest.disabled, rest.health.reason(), refused) {
            (true, _, _) => (State::Disabled, None),
            (_, Some(reason), _) => (State::Quarantined, Some(reason.to_owned())),
            (_, _, Some(refused)) => (State::Failed, Some(refused.error.clone())),
            _ => (State::Active, None),
        };
        let digest = current.as_ref().map(|c| c.digest).or(refused.map(|r| r.digest));
        let previous = rest.earlier.iter().map(|earlier| EarlierVersion {
            version: earlier.plugin.version.clone(),
            digest: earlier.plugin.digest.clone(),
            loaded_at_ms: earlier.loaded_at_ms,
        });
        Some(PluginInfo {
            name: self.name.clone(),
            kind: current.as_ref().map(|c| c.version.kind()),
            version: current.as_ref().map(|c| c.plugin.version.clone()),
            digest: digest.map(|digest| digest.to_string()),
            state,
            error,
            loaded_at_ms: current.as_ref().map(|c| c.loaded_at_ms),
            source,
            description: current.as_ref().map(|c| c.descriptor.summary.clone()).unwrap_or_default(),
            config_schema: current.as_ref().map(|c| c.descriptor.config_schema.clone()).unwrap_or_default(),
            calls: self.calls.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            previous: previous.collect(),
        })
    }
}

impl Rest {
    fn keep(&mut self, release: Arc<Release>) {
        self.earlier.retain(|earlier| earlier.digest != release.digest);
        self.earlier.insert(0, release);
        self.earlier.truncate(EARLIER);
    }
}
