//! Active checks: the server asks services whether they live, over HTTP, by connecting, or by the gRPC health protocol.
//!
//! One replica at a time does them all. A check never overlaps itself, no more than a set number are under way, and those
//! of many services are spread over their intervals. A verdict of critical is not written here: the sweep that ends leases
//! takes it, so that one share bounds both. Nothing here follows a redirect or reads what a service answers beyond its
//! status.
//!
//! Read on in `plan` (when, and how many answers count), `target` (where none may go), `probe`, `grpc`, `worker`.

mod grpc;
mod plan;
mod probe;
mod target;
mod worker;

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::{Core, Health, random::Random, services::Service};
use crate::{clock::Clock, ids::ServiceId};
pub(super) use plan::{Failed, Subject};
pub(super) use worker::start;

/// The checks of all services, and whether this replica does them.
pub(super) struct Checks {
    plan: Mutex<plan::Plan>,
    /// Until when, in `uptime`, this replica does them; `None`: another one does.
    held_until: Mutex<Option<Duration>>,
    /// There is more to do, or sooner.
    changed: Notify,
    passed: AtomicU64,
    failed: AtomicU64,
}

/// How many checks there were, and are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CheckCounts {
    /// Those that passed since the start.
    pub passed: u64,
    /// Those that failed since the start.
    pub failed: u64,
    /// Those that are under way.
    pub under_way: u64,
    /// Those whose time has come, and which wait for others to end.
    pub waiting: u64,
}

impl Checks {
    /// None is planned yet.
    pub(super) fn new() -> Self {
        Self {
            plan: Mutex::default(),
            held_until: Mutex::default(),
            changed: Notify::new(),
            passed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    fn plan(&self) -> MutexGuard<'_, plan::Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, Option<Duration>> {
        self.held_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A service is there, or has changed: its first check comes soon.
    pub(super) fn plan_for(&self, service: &Service, clock: &Clock, random: &Random) {
        let Some(subject) = subject_of(service) else { return self.forget(&service.service_id) };
        self.plan().put(&service.service_id, subject, clock.uptime(), SOON, random);
        self.changed.notify_one();
    }

    /// All are there: their first checks are spread over their intervals.
    pub(super) fn spread(&self, now: Duration, random: &Random) {
        self.plan().restart(now, random);
    }

    /// A service is gone.
    pub(super) fn forget(&self, id: &ServiceId) {
        self.plan().forget(id);
    }

    /// Whether this replica does the checks at `now`.
    pub(super) fn are_ours(&self, now: Duration) -> bool {
        self.turn().is_some_and(|until| now < until)
    }

    /// Those whose checks failed often enough, marked already or not.
    pub(super) fn failed(&self, now: Duration) -> Vec<Failed> {
        if self.are_ours(now) { self.plan().failed() } else { Vec::new() }
    }

    /// When a check last passed, in `uptime`, as far as this replica knows.
    pub(super) fn last_passed(&self, id: &ServiceId) -> Option<Duration> {
        self.plan().last_passed(id)
    }

    /// How many there were, and are.
    pub(super) fn counts(&self, now: Duration) -> CheckCounts {
        let (under_way, due) = self.plan().counts(now);
        let waiting = if self.are_ours(now) { due } else { 0 };
        CheckCounts { passed: self.passed.load(Relaxed), failed: self.failed.load(Relaxed), under_way, waiting }
    }
}

/// How soon a service that was just registered is checked.
const SOON: Duration = Duration::from_secs(1);

fn subject_of(service: &Service) -> Option<Subject> {
    let check = service.check.as_ref()?;
    Some(Subject { url: service.service_url.clone(), check: (**check).clone() })
}

impl Subject {
    /// Whether a service is checked like this.
    pub(super) fn is_of(&self, service: &Service) -> bool {
        subject_of(service).as_ref() == Some(self)
    }

    /// Why the service is as its check says.
    pub(super) fn reason(&self, health: Health, answer: &str) -> Option<String> {
        let kind = self.check.kind;
        let times = match (health, self.check.critical_after) {
            (Health::Critical, 1) => "",
            (Health::Critical, times) => &format!(", {times} times in a row"),
            _ => "",
        };
        (health != Health::Healthy).then(|| format!("its {kind} check failed{times}: {answer}"))
    }
}

impl Core {
    /// What its check says of a service; `None` if it is not there.
    pub(super) fn verdict_on(&self, id: &ServiceId) -> Option<Health> {
        self.index().services.get(id).map(|held| held.thing.signals.check.health)
    }
}
