//! The place of one plugin name: the version that serves, those before it, and what is the matter. A swap is one atomic store.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use serde_json::Value;

use super::{
    calls::Purpose,
    grants::Grants,
    health::{Health, Verdict},
    kinds::lifecycle::Descriptor,
    refusal::{FileId, Refused},
    rollout::{Rollout, Tally, types::Candidate},
    stats::{Event, Function, Outcome, VersionStats},
    types::{CallError, EarlierVersion, PluginInfo, PluginName, PluginRef, Source, State},
    version::{Own, Version},
};
use crate::{clock::Timestamp, wasm::cache::Digest};

/// Earlier versions that are kept.
pub(super) const EARLIER: usize = 3;

/// A version that was taken.
pub(super) struct Release {
    pub(super) version: Version,
    pub(super) plugin: PluginRef,
    pub(super) digest: Digest,
    pub(super) descriptor: Descriptor,
    pub(super) loaded_at: Timestamp,
    pub(super) source: Source,
    /// What was seen of its calls on this replica.
    pub(super) tally: Arc<Mutex<Tally>>,
    /// The signature that came beside it.
    pub(super) signature: Option<String>,
    /// The trusted key that it is signed with.
    pub(super) signed_by: Option<String>,
}

/// The place of one plugin.
pub(super) struct Slot {
    pub(super) name: PluginName,
    /// One file at a time is loaded for a name.
    pub(super) loading: Arc<tokio::sync::Mutex<()>>,
    /// What all its versions have in common.
    pub(super) own: Own,
    /// Versions on their way, and those that go.
    pub(super) rollout: Rollout,
    current: ArcSwapOption<Release>,
    rest: Mutex<Rest>,
}

#[derive(Default)]
struct Rest {
    earlier: Vec<Earlier>,
    refused: Option<Refused>,
    disabled: bool,
    grants: Arc<Grants>,
    health: Health,
}

/// A version before: ready to serve, or only known from before this process started.
struct Earlier {
    known: EarlierVersion,
    release: Option<Arc<Release>>,
}

impl Earlier {
    fn of(release: &Arc<Release>) -> Self {
        Self { known: known(release), release: Some(Arc::clone(release)) }
    }
}

/// The version before, for who wants to go back to it.
pub(super) enum Before {
    /// It can serve at once.
    Ready(Arc<Release>),
    /// Its file, by this digest, has to be loaded first.
    Known(String),
}

impl Slot {
    pub(super) fn new(own: Own) -> Self {
        Self {
            name: own.name.clone(),
            loading: Arc::default(),
            own,
            rollout: Rollout::default(),
            current: ArcSwapOption::empty(),
            rest: Mutex::default(),
        }
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version that serves, whether or not calls are let through.
    pub(super) fn current(&self) -> Option<Arc<Release>> {
        self.current.load_full()
    }

    /// The version to call, or why there is none. Whoever only tries is let through while it rests.
    pub(super) fn serving(
        &self,
        purpose: Purpose,
        function: Function,
        now: Duration,
    ) -> Result<Arc<Release>, CallError> {
        let not = |state, reason| CallError::NotServing { name: self.name.clone(), state, reason };
        let mut rest = self.rest();
        if rest.disabled {
            return Err(not(State::Disabled, "an operator switched it off".to_owned()));
        }
        if purpose == Purpose::Service
            && let Err(reason) = rest.health.admit(function, now)
        {
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

    /// What was refused last.
    pub(super) fn refused(&self) -> Option<Refused> {
        self.rest().refused.clone()
    }

    /// Whether this very file is the one that was refused last.
    pub(super) fn refused_last(&self, file: &FileId) -> bool {
        self.rest().refused.as_ref().is_some_and(|refused| refused.file == *file)
    }

    /// Whether the version of this digest is the one that was refused last, or that was gone back from.
    pub(super) fn has_refused(&self, digest: &str) -> bool {
        self.rest().refused.as_ref().is_some_and(|refused| refused.file.digest.to_string() == digest)
    }

    /// Forgets a refusal: the file that serves is the one that lies there.
    pub(super) fn clear_refusal(&self) -> bool {
        self.rest().refused.take().is_some()
    }

    pub(super) fn refuse(&self, refused: Refused) {
        self.own.stats.happened(Event::Refused);
        self.rest().refused = Some(refused);
    }

    /// Puts a version in service; the one before is kept.
    pub(super) fn swap(&self, release: &Release) {
        let mut rest = self.rest();
        rest.forget(&release.plugin.digest);
        // Grants may have changed while it was compiled.
        let release = release.regrant(&rest.grants);
        release.version.serve(true);
        let digest = release.digest;
        let before = self.current.swap(Some(release));
        if let Some(before) = &before {
            before.version.serve(false);
        }
        // The same file with another signature beside it is no other version.
        let same = before.as_ref().is_some_and(|before| before.digest == digest);
        if !same {
            self.own.stats.happened(Event::Swapped);
        }
        let before = before.filter(|_| !same);
        self.rollout.swapped(before.as_ref());
        if let Some(before) = before {
            rest.keep(Earlier::of(&before));
        }
        rest.refused = None;
        rest.health = Health::default();
    }

    /// Says which versions there were before this process started, latest first.
    pub(super) fn remember(&self, versions: Vec<EarlierVersion>) {
        let mut rest = self.rest();
        let serving = self.current.load().as_ref().map(|current| current.plugin.digest.clone());
        for known in versions.into_iter().filter(|known| Some(&known.digest) != serving.as_ref()) {
            if rest.earlier.len() < EARLIER && rest.earlier.iter().all(|earlier| earlier.known.digest != known.digest) {
                rest.earlier.push(Earlier { known, release: None });
            }
        }
    }

    /// The version before.
    pub(super) fn before(&self) -> Option<Before> {
        let rest = self.rest();
        let first = rest.earlier.first()?;
        Some(match &first.release {
            Some(release) => Before::Ready(Arc::clone(release)),
            None => Before::Known(first.known.digest.clone()),
        })
    }

    /// Lets calls through or not; letting them through ends a quarantine.
    pub(super) fn switch(&self, state: Switch) {
        let mut rest = self.rest();
        rest.disabled = state == Switch::Off;
        if state == Switch::On {
            rest.health = Health::default();
        }
    }

    /// Puts other grants in force, for the versions kept as well.
    pub(super) fn set_grants(&self, grants: Arc<Grants>) {
        let mut rest = self.rest();
        for earlier in &mut rest.earlier {
            earlier.release = earlier.release.take().map(|release| release.regrant(&grants));
        }
        if let Some(current) = self.current.load_full() {
            self.current.store(Some(current.regrant(&grants)));
        }
        self.rollout.regrant(|held| held.regrant(&grants));
        rest.grants = grants;
    }

    /// Takes note of how a call in service went. Says, also in words, when the plugin's state changed by it.
    pub(super) fn note(
        &self,
        by: &Arc<Release>,
        function: Function,
        failed: Option<&CallError>,
        now: Duration,
    ) -> Option<(Turn, String)> {
        let outcome = failed.map_or(Outcome::Ok, Outcome::of_error);
        self.own.stats.called(outcome);
        if matches!(outcome, Outcome::Refused | Outcome::Busy) {
            return None;
        }
        let fault = failed.filter(|_| outcome.is_fault()).map(ToString::to_string);
        let mut rest = self.rest();
        if self.current.load().as_ref().is_none_or(|current| current.digest != by.digest) {
            return None;
        }
        // How long a swap is guarded is kept with the versions on their way.
        let why = match rest.health.note(function, fault, self.rollout.is_guarded()) {
            Verdict::Same => return None,
            Verdict::Recovered => return Some((Turn::Recovered, "serves again".to_owned())),
            Verdict::Quarantine(why) => why,
            Verdict::RollBack(why) => {
                if let Some(to) = self.step_back(&mut rest, &why) {
                    return Some((Turn::RolledBack, format!("went back to version {}: {why}", to.plugin.version)));
                }
                why
            }
        };
        let reason = rest.health.quarantine(function, &why, now)?;
        self.own.stats.happened(Event::Quarantined);
        Some((Turn::Quarantined, reason))
    }

    /// Goes back by itself, when the version before is ready, and takes note why.
    fn step_back(&self, rest: &mut Rest, why: &str) -> Option<Arc<Release>> {
        // Calls that it had when it was replaced may have been ended: it serves anew.
        let to = rest.earlier.first()?.release.as_ref()?.regrant(&rest.grants);
        rest.earlier.remove(0);
        to.version.serve(true);
        let from = self.current.swap(Some(Arc::clone(&to)))?;
        from.version.serve(false);
        self.own.stats.happened(Event::RolledBack);
        let error = format!("version {} failed right after it came in and was rolled back: {why}", from.plugin.version);
        let file = FileId { digest: from.digest, signature: from.signature.clone() };
        rest.refused = Some(Refused::for_good(file, error, from.source));
        rest.keep(Earlier::of(&from));
        rest.health = Health::default();
        self.rollout.swapped(Some(&from));
        self.rollout.unguard();
        Some(to)
    }

    /// What was counted of the version that serves, of the one before it, and of one on its way.
    pub(super) fn counted(&self) -> Vec<(PluginRef, Arc<VersionStats>)> {
        let before = self.rest().earlier.first().and_then(|earlier| earlier.release.clone());
        let mut releases: Vec<Arc<Release>> = self.current().into_iter().chain(before).collect();
        let on_its_way = self.rollout.on_its_way();
        releases.extend(on_its_way.filter(|other| releases.iter().all(|release| release.digest != other.digest)));
        let counted = |release: Arc<Release>| (release.plugin.clone(), Arc::clone(release.version.stats()));
        releases.into_iter().map(counted).collect()
    }

    /// What is the matter with it, and why, unless there is only a place kept for it.
    pub(super) fn state(&self) -> Option<(State, Option<String>)> {
        let rest = self.rest();
        let there = rest.refused.is_some() || self.current.load().is_some();
        there.then(|| {
            let (state, error) = rest.state(rest.refused.as_ref());
            (state, error.map(str::to_owned))
        })
    }

    /// Drops instances that no call has needed for a while.
    pub(super) fn trim(&self) {
        if let Some(current) = self.current() {
            current.version.trim();
        }
        self.rollout.trim();
    }

    /// Puts in force where a version on its way stands.
    pub(super) fn set_candidate(&self, candidate: Option<Candidate>) {
        let before = candidate.as_ref().and_then(|candidate| candidate.before.as_ref());
        let before = before.and_then(|before| self.earlier(&before.digest));
        let seen = before.map(|release| release.tally.lock().unwrap_or_else(PoisonError::into_inner).clone());
        self.rollout.set_candidate(candidate, seen);
    }

    /// An earlier version, when it is ready to serve.
    pub(super) fn earlier(&self, digest: &str) -> Option<Arc<Release>> {
        let rest = self.rest();
        rest.earlier.iter().find(|earlier| earlier.known.digest == digest)?.release.clone()
    }

    /// Keeps an earlier version ready to serve.
    pub(super) fn ready(&self, release: &Arc<Release>) {
        let mut rest = self.rest();
        if let Some(earlier) = rest.earlier.iter_mut().find(|earlier| earlier.known.digest == release.plugin.digest) {
            earlier.release = Some(Arc::clone(release));
        }
    }

    /// Versions whose memories are to be kept.
    pub(super) fn remembering(&self) -> Vec<String> {
        let serving = self.current().map(|current| current.plugin.digest.clone());
        serving.into_iter().chain(self.rollout.remembering()).collect()
    }

    /// The plugin as people see it, or nothing when there is only a place kept for it.
    pub(super) fn info(&self) -> Option<PluginInfo> {
        let current = self.current.load_full();
        let rest = self.rest();
        self.describe(current.as_deref(), &rest, rest.refused.as_ref())
    }

    /// The plugin as people will see it once `release` serves.
    pub(super) fn info_with(&self, release: &Release) -> Option<PluginInfo> {
        let before = self.current.load_full().filter(|before| before.digest != release.digest);
        let rest = self.rest();
        let mut info = self.describe(Some(release), &rest, None)?;
        info.previous.retain(|earlier| earlier.digest != release.plugin.digest);
        if let Some(before) = before {
            info.previous.insert(0, known(&before));
            info.previous.truncate(EARLIER);
        }
        Some(info)
    }

    /// The plugin as people will see it once it is switched.
    pub(super) fn info_when(&self, to: Switch) -> Option<PluginInfo> {
        let mut info = self.info()?;
        (info.state, info.error) = match (to, &self.rest().refused) {
            (Switch::Off, _) => (State::Disabled, None),
            (Switch::On, Some(refused)) => (State::Failed, Some(refused.error.clone())),
            (Switch::On, None) => (State::Active, None),
        };
        Some(info)
    }

    fn describe(&self, current: Option<&Release>, rest: &Rest, refused: Option<&Refused>) -> Option<PluginInfo> {
        let source = current.map(|c| c.source).or(refused.map(|r| r.source))?;
        let (state, error) = rest.state(refused);
        let error = error.map(str::to_owned);
        let digest = current.map(|c| c.digest).or(refused.map(|r| r.file.digest));
        let (calls, failures) = self.own.stats.calls();
        let schema = current.and_then(|c| serde_json::from_str(&c.descriptor.config_schema).ok());
        Some(PluginInfo {
            name: self.name.clone(),
            kind: current.map(|c| c.version.kind()),
            version: current.map(|c| c.plugin.version.clone()),
            digest: digest.map(|digest| digest.to_string()),
            state,
            error,
            loaded_at: current.map(|c| c.loaded_at),
            source,
            signed_by: current.and_then(|c| c.signed_by.clone()),
            description: current.map(|c| c.descriptor.summary.clone()).unwrap_or_default(),
            config_schema: schema.unwrap_or(Value::Null),
            calls,
            failures,
            previous: rest.earlier.iter().map(|earlier| earlier.known.clone()).collect(),
            rollout: self.rollout.info(),
            draining: self.rollout.draining(),
        })
    }
}

/// What became of a plugin by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    Quarantined,
    Recovered,
    RolledBack,
}

/// Whether calls are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    On,
    Off,
}

impl Release {
    /// The same release under other grants.
    fn regrant(&self, grants: &Arc<Grants>) -> Arc<Self> {
        Arc::new(Self { version: self.version.regrant(grants), tally: Arc::clone(&self.tally), ..self.copied() })
    }

    /// The same release with another signature beside it.
    pub(super) fn signed(&self, signature: Option<String>, signed_by: Option<String>) -> Self {
        Self { signature, signed_by, ..self.copied() }
    }

    /// The same release, of whose calls nothing was seen yet.
    fn copied(&self) -> Self {
        let Self { version, plugin, digest, descriptor, loaded_at, source, signature, signed_by, tally: _ } = self;
        Self {
            version: version.clone(),
            plugin: plugin.clone(),
            digest: *digest,
            descriptor: descriptor.clone(),
            loaded_at: *loaded_at,
            source: *source,
            signature: signature.clone(),
            signed_by: signed_by.clone(),
            tally: Arc::default(),
        }
    }

    /// The same release, in service from `now` on.
    pub(super) fn again(&self, now: Timestamp) -> Self {
        Self { loaded_at: now, ..self.copied() }
    }
}

fn known(release: &Release) -> EarlierVersion {
    let PluginRef { name: _, version, digest } = release.plugin.clone();
    EarlierVersion { version, digest, loaded_at: release.loaded_at }
}

impl Rest {
    fn state<'a>(&'a self, refused: Option<&'a Refused>) -> (State, Option<&'a str>) {
        match (self.disabled, self.health.reason(), refused) {
            (true, _, _) => (State::Disabled, None),
            (_, Some(reason), _) => (State::Quarantined, Some(reason)),
            (_, _, Some(refused)) => (State::Failed, Some(refused.error.as_str())),
            _ => (State::Active, None),
        }
    }

    fn forget(&mut self, digest: &str) {
        self.earlier.retain(|earlier| earlier.known.digest != digest);
    }

    fn keep(&mut self, earlier: Earlier) {
        self.forget(&earlier.known.digest);
        self.earlier.insert(0, earlier);
        self.earlier.truncate(EARLIER);
    }
}
