//! Bringing new versions of a plugin into service step by step: beside the one that serves, with a share of the keys, guarded;
//! and taking them back. What stands here never changes a live answer by itself: it is told by the database, by way of the feed.
//!
//! Read `types` (policy, stages), `report` and `decide` (what was seen, and what follows from it), `active` (the hot path's
//! view), `route` and `judge` (which version answers a call), `lane` and `compare` (calls beside), `states` and `parts` (what
//! evaluators remember), `drain`, then `keep` (how a step is taken), `worker`, `routes`.

mod active;
pub(in crate::plugins) mod compare;
mod decide;
mod drain;
mod judge;
pub(in crate::plugins) mod keep;
mod lane;
mod parts;
mod queries;
mod report;
mod route;
pub(in crate::plugins) mod routes;
mod states;
pub mod types;
pub(in crate::plugins) mod worker;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;

pub(in crate::plugins) use active::Active;
pub(in crate::plugins) use drain::Life;
pub use judge::{Judged, Judging, Keeping};
pub(in crate::plugins) use lane::Lane;
pub(crate) use queries::STATEMENTS;
pub(in crate::plugins) use report::Tally;
pub(in crate::plugins) use route::Route;
pub use states::{Memory, Sample, Samples};

use super::slot::Release;
use crate::{
    clock::Timestamp,
    db::{self, Tx},
};
use active::Watch;
use drain::Drain;
use types::{Candidate, DrainingVersion, Policy, RolloutInfo, Stage};

/// The part of a plugin's place that is about versions on their way.
#[derive(Default)]
pub(in crate::plugins) struct Rollout {
    known: Mutex<Known>,
    active: ArcSwapOption<Active>,
    guarded: AtomicBool,
    drain: Drain,
}

#[derive(Default)]
struct Known {
    policy: Option<Policy>,
    candidate: Option<Candidate>,
    /// A version that is ready, though not in service: the candidate, once this replica has it.
    held: Option<Arc<Release>>,
    watch: Option<(String, Arc<Watch>)>,
}

impl Rollout {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What calls must heed, if anything.
    pub(in crate::plugins) fn active(&self) -> Option<Arc<Active>> {
        self.active.load_full()
    }

    pub(in crate::plugins) fn policy(&self) -> Option<Policy> {
        self.known().policy.clone()
    }

    pub(in crate::plugins) fn candidate(&self) -> Option<Candidate> {
        self.known().candidate.clone()
    }

    pub(in crate::plugins) fn info(&self) -> Option<RolloutInfo> {
        self.known().candidate.as_ref().map(Candidate::shown)
    }

    pub(in crate::plugins) fn draining(&self) -> Vec<DrainingVersion> {
        self.drain.shown()
    }

    /// Lets go of replaced versions without calls, and ends the calls of those that have had `patience`. Gives what was ended.
    pub(super) fn sweep(&self, now: Timestamp, patience: Duration) -> Vec<DrainingVersion> {
        self.drain.sweep(now, patience)
    }

    pub(in crate::plugins) fn set_policy(&self, policy: Option<Policy>) {
        let mut known = self.known();
        known.policy = policy;
        self.refresh(&mut known);
    }

    /// Puts in force where a version stands. `before` is what was seen of the version that it replaced.
    pub(in crate::plugins) fn set_candidate(&self, candidate: Option<Candidate>, before: Option<Tally>) {
        let mut known = self.known();
        known.candidate = candidate;
        self.refresh(&mut known);
        if let (Some(active), Some(before)) = (self.active(), before) {
            active.begin_guard(before);
        }
    }

    /// Whether this replica has the version that is on its way.
    pub(in crate::plugins) fn lacks_candidate(&self) -> Option<String> {
        let known = self.known();
        let candidate = known.candidate.as_ref().filter(|candidate| candidate.stage.is_on_its_way())?;
        let has = known.held.as_ref().is_some_and(|held| held.plugin.digest == candidate.digest());
        (!has).then(|| candidate.digest().to_owned())
    }

    /// Keeps a version ready.
    pub(in crate::plugins) fn hold(&self, release: Arc<Release>) {
        let mut known = self.known();
        known.held = Some(release);
        self.refresh(&mut known);
    }

    /// The version of this digest, when it is held ready.
    pub(in crate::plugins) fn held(&self, digest: &str) -> Option<Arc<Release>> {
        self.known().held.clone().filter(|held| held.plugin.digest == digest)
    }

    /// The version that is on its way, when this replica has it.
    pub(in crate::plugins) fn on_its_way(&self) -> Option<Arc<Release>> {
        let known = self.known();
        let candidate = known.candidate.as_ref().filter(|candidate| candidate.stage.is_on_its_way())?;
        known.held.clone().filter(|held| held.plugin.digest == candidate.digest())
    }

    /// Drops instances that no call has needed for a while.
    pub(in crate::plugins) fn trim(&self) {
        if let Some(held) = &self.known().held {
            held.version.trim();
        }
        if let Some(active) = self.active() {
            active.trim();
        }
    }

    /// Puts other grants in force for the version that is held ready.
    pub(in crate::plugins) fn regrant(&self, regranted: impl FnOnce(&Release) -> Arc<Release>) {
        let mut known = self.known();
        known.held = known.held.as_ref().map(|held| regranted(held));
        self.refresh(&mut known);
    }

    /// Takes note of a swap: faults speak against it until it is said to be guarded no more.
    pub(in crate::plugins) fn swapped(&self, before: Option<&Arc<Release>>) {
        self.guarded.store(before.is_some(), Ordering::Relaxed);
        if let Some(before) = before {
            self.drain.add(before.plugin.clone(), before.version.clone());
        }
    }

    /// Faults speak against the swap no more.
    pub(in crate::plugins) fn unguard(&self) {
        self.guarded.store(false, Ordering::Relaxed);
    }

    /// Versions beside the one that serves whose memories are to be kept: what is on its way, and what may come back.
    pub(in crate::plugins) fn remembering(&self) -> Vec<String> {
        let known = self.known();
        let Some(candidate) = &known.candidate else { return Vec::new() };
        match candidate.stage {
            Stage::Canary => vec![candidate.digest().to_owned()],
            Stage::Guard => candidate.before.iter().map(|before| before.digest.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether faults speak against the swap.
    pub(in crate::plugins) fn is_guarded(&self) -> bool {
        self.guarded.load(Ordering::Relaxed)
    }

    fn refresh(&self, known: &mut Known) {
        let Known { policy, candidate, held, watch } = known;
        let Some(candidate) = candidate else {
            *watch = None;
            return self.active.store(None);
        };
        self.guarded.store(candidate.stage == Stage::Guard, Ordering::Relaxed);
        if watch.as_ref().is_none_or(|(digest, _)| digest != candidate.digest()) {
            *watch = Some((candidate.digest().to_owned(), Arc::default()));
        }
        if !candidate.stage.is_on_its_way() && candidate.stage != Stage::Guard {
            *held = None;
            return self.active.store(None);
        }
        let release = held.clone().filter(|held| held.plugin.digest == candidate.digest());
        let watch = watch.as_ref().map(|(_, watch)| Arc::clone(watch)).unwrap_or_default();
        let policy = policy.clone().unwrap_or_default();
        // Without the version there is nothing to run, and a swap leaves nothing held.
        let active = (release.is_some() || candidate.stage == Stage::Guard)
            .then(|| Arc::new(Active::new(candidate, &policy, release, watch)));
        self.active.store(active);
    }
}

/// Forgets everything that is kept here of a plugin that goes.
pub(in crate::plugins) async fn forget(tx: &mut Tx, name: &super::PluginName) -> db::Result<()> {
    queries::forget(tx, name).await
}
