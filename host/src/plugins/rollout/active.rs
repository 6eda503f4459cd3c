//! What a call must know of a version on its way, and what is seen of it. One load of a pointer a call, when there is none.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use super::{
    report::{Compared, IN_A_ROW, Report, Tally},
    types::{Candidate, Policy, Stage},
};
use crate::plugins::{
    slot::Release,
    stats::Outcome,
    types::{CallError, PluginName},
    version::Version,
};

/// Keys that are remembered to have gone wrong.
const FALLEN: usize = 10_000;

/// A version beside another, or guarded.
pub(in crate::plugins) struct Active {
    stage: Stage,
    digest: String,
    percent: f64,
    wanted: u64,
    pub(super) tolerance: f64,
    release: Option<Arc<Release>>,
    /// The same version for calls beside live ones: they take nothing of the plugin's share.
    beside: Option<Version>,
    watch: Arc<Watch>,
}

/// What this replica has seen of a version. It outlasts a stage.
#[derive(Default)]
pub(super) struct Watch {
    report: Mutex<Report>,
    /// Whether the report says more than was written down.
    news: AtomicBool,
    /// Calls that were begun beside.
    begun: AtomicU64,
    in_a_row: AtomicU32,
    /// Keys whose call the version failed: they stay with the one that serves.
    fallen: Mutex<HashSet<u64>>,
}

impl Watch {
    /// The report, to be added to: that there are news is said while nobody else can take them.
    fn report(&self) -> MutexGuard<'_, Report> {
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        self.news.store(true, Ordering::Relaxed);
        report
    }

    fn wants(&self, calls: u64) -> bool {
        self.begun.load(Ordering::Relaxed) < calls
    }

    fn leave_out(&self) {
        self.begun.fetch_sub(1, Ordering::Relaxed);
        self.report().skipped += 1;
    }
}

impl Active {
    pub(super) fn new(
        candidate: &Candidate,
        policy: &Policy,
        release: Option<Arc<Release>>,
        watch: Arc<Watch>,
    ) -> Self {
        Self {
            stage: candidate.stage,
            digest: candidate.digest().to_owned(),
            percent: policy.canary_percent,
            wanted: policy.shadow.as_ref().map_or(0, |shadow| shadow.calls),
            tolerance: policy.tolerance,
            beside: release
                .as_ref()
                .filter(|_| candidate.stage == Stage::Shadow)
                .map(|release| release.version.apart()),
            release,
            watch,
        }
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.watch.report()
    }

    fn fallen(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.watch.fallen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version that answers for this key, when it is not the one that serves.
    pub(super) fn canary(&self, key: Key) -> Option<&Arc<Release>> {
        let within = self.stage == Stage::Canary && key.percentile() < self.percent;
        let cut_off = || self.watch.in_a_row.load(Ordering::Relaxed) >= IN_A_ROW || self.fallen().contains(&key.0);
        if within && !cut_off() { self.release.as_ref() } else { None }
    }

    /// Whether a share of the keys is another version's.
    pub(super) fn has_share(&self) -> bool {
        self.stage == Stage::Canary
    }

    /// The version that runs beside the one that serves.
    pub(super) fn beside(&self) -> Option<&Version> {
        self.beside.as_ref()
    }

    /// Whether one more call is to be run beside.
    pub(super) fn wants_beside(&self) -> bool {
        self.beside.is_some() && self.watch.wants(self.wanted)
    }

    /// Drops instances that no call has needed for a while.
    pub(super) fn trim(&self) {
        if let Some(beside) = &self.beside {
            beside.trim();
        }
    }

    pub(super) fn begin_beside(&self) {
        self.watch.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn skip(&self) {
        self.report().skipped += 1;
    }

    /// A call that was begun beside found no time to run: another one takes its place.
    pub(super) fn leave_out(&self) {
        self.watch.leave_out();
    }

    pub(super) fn compared(&self, compared: Compared, serving: Duration, candidate: Duration) {
        self.report().compared(compared, serving, candidate);
    }

    /// Takes note of a call that the version answered for its share.
    pub(super) fn note_canary(&self, failed: Option<&CallError>, took: Duration) {
        let in_a_row = match failed {
            Some(error) if Outcome::of_error(error).is_fault() => {
                self.watch.in_a_row.fetch_add(1, Ordering::Relaxed) + 1
            }
            Some(_) => 0,
            None => {
                self.watch.in_a_row.store(0, Ordering::Relaxed);
                0
            }
        };
        let mut report = self.report();
        report.canary.candidate.note(failed, took);
        if let Some(error) = failed.filter(|_| in_a_row >= IN_A_ROW) {
            report.tripped.get_or_insert_with(|| format!("it failed {in_a_row} times in a row, last: {error}"));
        }
    }

    /// A key whose call the version failed stays with the one that serves.
    pub(super) fn fall(&self, key: Key) {
        let mut fallen = self.fallen();
        if fallen.len() < FALLEN {
            fallen.insert(key.0);
        }
    }

    /// Takes note of a call that the version in service answered.
    pub(super) fn note_serving(&self, by: &Release, failed: Option<&CallError>, took: Duration) {
        match self.stage {
            Stage::Canary => self.report().canary.serving.note(failed, took),
            Stage::Guard if by.plugin.digest == self.digest => self.report().guard.candidate.note(failed, took),
            _ => {}
        }
    }

    /// Puts beside what is seen from now on what was seen of the version before.
    pub(super) fn begin_guard(&self, before: Tally) {
        if self.stage == Stage::Guard {
            self.report().guard.serving = before;
        }
    }

    /// What was seen here, when it is more than was written down.
    pub(super) fn news(&self) -> Option<(String, Report)> {
        let report = self.watch.report.lock().unwrap_or_else(PoisonError::into_inner);
        let news = self.watch.news.swap(false, Ordering::Relaxed);
        news.then(|| (self.digest.clone(), report.clone()))
    }

    /// What was seen here.
    pub(super) fn seen(&self) -> Report {
        self.watch.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was seen here is not written down after all.
    pub(super) fn unwritten(&self) {
        self.watch.news.store(true, Ordering::Relaxed);
    }
}

/// What a share is taken of: the same key always falls into the same place, for one plugin, on every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u64);

impl Key {
    pub(super) fn of(plugin: &PluginName, key: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(plugin.as_str());
        hash.update([0]);
        hash.update(key);
        let hash = hash.finalize();
        Self(u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]]))
    }

    /// Its place, from 0 to below 100.
    fn percentile(self) -> f64 {
        // The upper 53 bits are what a float holds exactly.
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64 * 100.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_that_is_in_stays_in_while_the_share_grows(key in ".{0,40}", low in 0.0..100.0, more in 0.0..100.0) {
            let place = Key::of(&"judge".parse().unwrap(), &key).percentile();
            prop_assert!((0.0..100.0).contains(&place));
            let high = f64::min(low + more, 100.0);
            prop_assert!(place >= low || place < high || low >= high);
            prop_assert_eq!(Key::of(&"judge".parse().unwrap(), &key).percentile(), place);
        }
    }

    /// A call for which there was no time is made up for: otherwise so many as are wanted would never be compared.
    #[test]
    fn a_call_that_is_left_out_is_made_up_for() {
        let watch = Watch::default();
        let begin = || watch.begun.fetch_add(1, Ordering::Relaxed);
        begin();
        begin();
        assert!(!watch.wants(2));
        watch.leave_out();
        assert!(watch.wants(2));
        assert_eq!(watch.report().skipped, 1);
    }

    #[test]
    fn a_share_is_about_as_large_as_it_says() {
        let judge = "judge".parse().unwrap();
        let within = (0..10_000).filter(|n| Key::of(&judge, &format!("rule/{n}")).percentile() < 10.0).count();
        assert!((900..1_100).contains(&within), "{within}");
    }
}
