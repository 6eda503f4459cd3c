//! When which service is checked, and how many answers count: plain data, with no clock and no network.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Weak},
    time::Duration,
};

use super::super::{Health, random::Random, services::Check};
use crate::ids::ServiceId;

/// What is checked, and how. Another one is another check, whose answers are counted anew.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Subject {
    pub(super) url: String,
    pub(super) check: Check,
}

impl Subject {
    fn interval(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.check.interval_seconds).unwrap_or(1))
    }
}

/// One check that is to be done now.
#[derive(Clone, Debug)]
pub(in super::super) struct Job {
    pub(super) id: ServiceId,
    pub(super) subject: Subject,
    turn: u64,
}

/// How the last checks of a service went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Run {
    passed: i64,
    failed: i64,
}

impl Run {
    fn count(&mut self, passed: bool) {
        *self = match passed {
            true => Self { passed: self.passed.saturating_add(1), failed: 0 },
            false => Self { passed: 0, failed: self.failed.saturating_add(1) },
        };
    }

    /// What is to become of the verdict `is`, if anything.
    fn verdict(self, check: &Check, is: Health) -> Option<Health> {
        let Self { passed, failed } = self;
        let shall = if passed >= check.healthy_after {
            Health::Healthy
        } else if failed >= check.critical_after {
            Health::Critical
        } else if failed > 0 && is == Health::Healthy {
            Health::Warning
        } else {
            is
        };
        (shall != is).then_some(shall)
    }
}

struct Entry {
    subject: Subject,
    /// When it is due; `None` while it is under way.
    due: Option<Duration>,
    turn: u64,
    run: Run,
    last_passed: Option<Duration>,
    /// It failed often enough, and why; the next sweep marks it, when as many may be marked.
    critical: Option<Arc<str>>,
}

/// A service that failed often enough, to be marked as critical.
pub(in super::super) struct Failed {
    pub(in super::super) id: ServiceId,
    pub(in super::super) subject: Subject,
    /// Why; gone when there was another answer since.
    pub(in super::super) reason: Weak<str>,
}

/// Every service that is checked, by when it is due.
#[derive(Default)]
pub(super) struct Plan {
    entries: HashMap<ServiceId, Entry>,
    due: BTreeSet<(Duration, ServiceId)>,
    turns: u64,
}

impl Plan {
    /// Plans the checks of a service from `now` on, the first within `within`; one that is planned already goes on.
    pub(super) fn put(&mut self, id: &ServiceId, subject: Subject, now: Duration, within: Duration, random: &Random) {
        if self.entries.get(id).is_some_and(|entry| entry.subject == subject) {
            return;
        }
        self.forget(id);
        self.turns += 1;
        let due = now + share(within.min(subject.interval()), random);
        let entry =
            Entry { subject, due: Some(due), turn: self.turns, run: Run::default(), last_passed: None, critical: None };
        self.entries.insert(id.clone(), entry);
        self.due.insert((due, id.clone()));
    }

    /// Checks it no more.
    pub(super) fn forget(&mut self, id: &ServiceId) {
        if let Some(Entry { due: Some(due), .. }) = self.entries.remove(id) {
            self.due.remove(&(due, id.clone()));
        }
    }

    /// Begins anew at `now`: nothing is known of earlier checks, and the first ones are spread over their intervals.
    pub(super) fn restart(&mut self, now: Duration, random: &Random) {
        self.due.clear();
        for (id, entry) in &mut self.entries {
            (entry.run, entry.last_passed, entry.critical) = (Run::default(), None, None);
            // What is under way is due again when it is done.
            if let Some(due) = &mut entry.due {
                *due = now + share(entry.subject.interval(), random);
                self.due.insert((*due, id.clone()));
            }
        }
    }

    /// Takes one that is due; it is not due again before `again` was called for it.
    pub(super) fn take(&mut self, now: Duration) -> Option<Job> {
        let (due, id) = self.due.first().filter(|(due, _)| *due <= now).cloned()?;
        self.due.remove(&(due, id.clone()));
        let entry = self.entries.get_mut(&id)?;
        entry.due = None;
        Some(Job { id, subject: entry.subject.clone(), turn: entry.turn })
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Counts an answer that came at `now`, of a service whose check had come to the verdict `is`: what is to become of it.
    pub(super) fn count(
        &mut self,
        job: &Job,
        answer: &Result<(), String>,
        is: Health,
        now: Duration,
    ) -> Option<Health> {
        let entry = self.entries.get_mut(&job.id).filter(|entry| entry.turn == job.turn)?;
        entry.run.count(answer.is_ok());
        entry.critical = None;
        if answer.is_ok() {
            entry.last_passed = Some(now);
        }
        let verdict = entry.run.verdict(&entry.subject.check, is);
        if let (Some(Health::Critical), Err(reason)) = (verdict, answer) {
            entry.critical = Some(reason.as_str().into());
        }
        verdict
    }

    /// It is done at `now` and due again an interval later, or up to a twentieth before or after.
    pub(super) fn again(&mut self, job: &Job, now: Duration, random: &Random) {
        let Some(entry) = self.entries.get_mut(&job.id).filter(|entry| entry.turn == job.turn) else { return };
        let interval = entry.subject.interval();
        let due = now + interval - interval / 20 + share(interval / 10, random);
        entry.due = Some(due);
        self.due.insert((due, job.id.clone()));
    }

    /// Those that failed often enough, marked already or not.
    pub(super) fn failed(&self) -> Vec<Failed> {
        let failed = self.entries.iter().filter_map(|(id, entry)| {
            let reason = Arc::downgrade(entry.critical.as_ref()?);
            Some(Failed { id: id.clone(), subject: entry.subject.clone(), reason })
        });
        failed.collect()
    }

    /// How many are under way, and how many are due.
    pub(super) fn counts(&self, now: Duration) -> (u64, u64) {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let due = self.due.iter().take_while(|(due, _)| *due <= now).count();
        (count(self.entries.len() - self.due.len()), count(due))
    }

    /// When a check of it last passed.
    pub(super) fn last_passed(&self, id: &ServiceId) -> Option<Duration> {
        self.entries.get(id)?.last_passed
    }
}

/// A part of `whole`, by chance.
fn share(whole: Duration, random: &Random) -> Duration {
    Duration::from_nanos(random.below(u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::services::CheckKind;

    fn subject(interval_seconds: i64) -> Subject {
        let check = Check {
            kind: CheckKind::Tcp,
            path: None,
            expected_status: None,
            grpc_service: None,
            interval_seconds,
            timeout_seconds: 1,
            healthy_after: 2,
            critical_after: 3,
        };
        Subject { url: "tcp://h:1".to_owned(), check }
    }

    #[test]
    fn answers_count_in_a_row() {
        use Health::{Critical, Healthy, Unknown, Warning};
        let (mut run, mut is) = (Run::default(), Unknown);
        let steps = [
            (false, Unknown), // one that was never healthy is not warned of
            (true, Unknown),
            (false, Unknown),
            (true, Unknown),
            (true, Healthy),
            (false, Warning),
            (true, Warning), // one that passes again is healthy when it has passed as often as it must
            (false, Warning),
            (false, Warning),
            (false, Critical),
            (true, Critical), // and one that was critical is not offered before that
            (false, Critical),
            (true, Critical),
            (true, Healthy),
        ];
        for (n, (passed, shall)) in steps.into_iter().enumerate() {
            run.count(passed);
            is = run.verdict(&subject(10).check, is).unwrap_or(is);
            assert_eq!(is, shall, "step {n}");
        }
    }

    /// Each is checked once an interval, give or take a twentieth, never while a check of it is under way, and those of
    /// many services that begin together are spread over the interval.
    #[test]
    fn checks_are_spread_and_never_overlap() {
        let (random, mut plan) = (Random::new([7; 8]), Plan::default());
        let ids: Vec<ServiceId> = (0..1000).map(|n| ServiceId::from(format!("s-{n}").as_str())).collect();
        ids.iter().for_each(|id| plan.put(id, subject(10), Duration::ZERO, Duration::from_secs(10), &random));
        let (mut last, mut most) = (HashMap::new(), 0);
        for tick in 0..1200_u32 {
            let now = Duration::from_millis(100) * tick;
            let jobs: Vec<Job> = std::iter::from_fn(|| plan.take(now)).collect();
            most = most.max(jobs.len());
            for job in &jobs {
                if let Some(before) = last.insert(job.id.clone(), now) {
                    let apart = now - before;
                    assert!(
                        (Duration::from_millis(9500)..=Duration::from_millis(10_700)).contains(&apart),
                        "{apart:?}"
                    );
                }
            }
            jobs.iter().for_each(|job| plan.again(job, now, &random));
        }
        assert_eq!(last.len(), 1000);
        assert!(most < 40, "{most} of 1000 began within a tenth of a second");
    }

    #[test]
    fn an_answer_to_a_check_that_was_changed_counts_for_nothing() {
        let (random, mut plan, id) = (Random::new([7; 8]), Plan::default(), ServiceId::from("a"));
        plan.put(&id, subject(10), Duration::ZERO, Duration::ZERO, &random);
        let old = plan.take(Duration::ZERO).unwrap();
        assert!(plan.take(Duration::from_secs(60)).is_none(), "it is under way");
        plan.put(&id, subject(20), Duration::ZERO, Duration::ZERO, &random);
        let failed = Err("no".to_owned());
        (0..5).for_each(|_| assert_eq!(plan.count(&old, &failed, Health::Healthy, Duration::ZERO), None));
        plan.again(&old, Duration::ZERO, &random);
        assert_eq!(plan.due.len(), 1);
        let new = plan.take(Duration::ZERO).unwrap();
        assert_eq!(plan.count(&new, &failed, Health::Healthy, Duration::ZERO), Some(Health::Warning));
        plan.forget(&id);
        plan.again(&new, Duration::ZERO, &random);
        assert!(plan.due.is_empty() && plan.entries.is_empty());
    }
}
