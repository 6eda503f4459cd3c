//! What becomes of a service when it is heard of, falls silent, is checked, says how it is, or changes too often.
//!
//! Each of these changes what one side says of it; `settled` makes the health of it that is shown.

use super::{super::types::Health, Service, ServiceStatus, signals::Signal};
use crate::{clock::Timestamp, settings};

/// Why the services of a node that fell silent are critical.
pub(in super::super) fn silence_of(node: &impl std::fmt::Display) -> String {
    format!("its node {node} fell silent")
}

impl Service {
    /// The name that it shares with others.
    pub(in super::super) fn kin(&self) -> Option<&str> {
        Some(&self.service_name)
    }

    /// Whether it is checked, and has no lease that could end.
    pub(in super::super) fn lives_by_its_check(&self) -> bool {
        self.check.is_some() && (self.ttl_seconds == 0 || self.last_heartbeat.is_none())
    }

    /// Whether it has a lease that ends when no heartbeat comes.
    pub(in super::super) fn has_lease(&self) -> bool {
        self.ttl_seconds > 0 && !self.lives_by_its_check() && !self.is_silent()
    }

    /// Whether its lease has ended, or it was said to be critical.
    pub(in super::super) fn is_silent(&self) -> bool {
        self.signals.lease.health == Health::Critical
    }

    /// Whether registering it again is a heartbeat: one that lives by its check does not begin a lease with it.
    pub(in super::super) fn beats_by_registering(&self) -> bool {
        !self.lives_by_its_check()
    }

    /// Whether it fell silent with its node.
    pub(in super::super) fn fell_silent_with_its_node(&self) -> bool {
        let silence = self.node_id.as_ref().map(silence_of);
        self.is_silent() && silence.is_some() && self.signals.lease.reason == silence
    }

    /// Whether a heartbeat changes more than the time of the last one.
    pub(in super::super) fn is_woken_by_a_beat(&self) -> bool {
        matches!(self.signals.lease.health, Health::Unknown | Health::Critical)
            || matches!(self.status, ServiceStatus::Registered | ServiceStatus::Failed)
                && self.signals.shown().health != Health::Critical
    }

    /// It was heard of at `now`.
    pub(in super::super) fn beaten(mut self, now: Timestamp) -> Self {
        if self.is_woken_by_a_beat() {
            if self.signals.lease.health != Health::Warning {
                self.signals.lease = Signal { health: Health::Healthy, reason: None };
            }
            self.follow_health();
            self.updated_at = now;
        }
        self.last_heartbeat = self.last_heartbeat.max(Some(now));
        self
    }

    /// It fell silent, or what it runs on did. Whoever comes back after a silence of its own may be another process: what
    /// it said before is forgotten.
    pub(in super::super) fn silent(mut self, reason: &str, now: Timestamp) -> Self {
        self.signals.lease = Signal { health: Health::Critical, reason: Some(reason.to_owned()) };
        if !self.fell_silent_with_its_node() {
            self.signals.report = Signal::default();
        }
        self.updated_at = now;
        self
    }

    /// It says how it is, which is a sign of life too.
    pub(in super::super) fn reported(self, report: Signal, now: Timestamp) -> Self {
        let mut service = self.beaten(now);
        service.signals.report = report;
        service.follow_health();
        service
    }

    /// It is registered as being of this health, until its next heartbeat or, where it is checked, the first verdict.
    pub(in super::super) fn first_known_as(mut self, first: Signal, now: Timestamp) -> Self {
        if self.check.is_some() {
            if self.signals.check.health == Health::Unknown {
                self.signals.check = first;
            }
            self.follow_health();
            return self;
        }
        let mut service = self.beaten(now);
        service.signals.lease = first;
        service.follow_health();
        service
    }

    /// Somebody switches it off.
    pub(in super::super) fn switched_off(self) -> Self {
        Self { status: ServiceStatus::Inactive, ..self }
    }

    /// Somebody switches it on; where it was on nothing changes.
    pub(in super::super) fn switched_on(mut self) -> Self {
        if self.status == ServiceStatus::Inactive {
            self.status = ServiceStatus::Registered;
            self.follow_health();
        }
        self
    }

    /// Its check came to a verdict. One that passes shows that a service which lives by it did not fall silent.
    pub(in super::super) fn checked(mut self, verdict: Signal, now: Timestamp) -> Self {
        if verdict.health == Health::Healthy && self.lives_by_its_check() && self.fell_silent_with_its_node() {
            self.signals.lease = Signal::default();
        }
        self.signals.check = verdict;
        self.updated_at = now;
        self
    }

    /// What it runs on is back: so is what sends no heartbeats of its own.
    pub(in super::super) fn restored(mut self, now: Timestamp) -> Self {
        if self.check.is_none() {
            return self.beaten(now);
        }
        self.signals.lease = Signal::default();
        self.updated_at = now;
        self
    }

    /// Somebody says what its health is: that stands until it is heard of or falls silent, and it is held no more.
    pub(in super::super) fn said_to_be(mut self, health: Health, reason: Option<String>) -> Self {
        self.signals.lease = Signal { health, reason };
        self.signals.report = Signal::default();
        self.signals.release();
        self
    }

    /// Whether it is held for its changes, and has been quiet for long enough.
    pub(in super::super) fn may_be_released(&self, now: Timestamp, settings: &settings::Registry) -> bool {
        self.signals.is_quiet(now, settings)
    }

    /// It is held for its changes no more.
    pub(in super::super) fn released(mut self, now: Timestamp) -> Self {
        self.signals.release();
        self.updated_at = now;
        self
    }

    /// Makes the health that is shown of what is said of it; nobody is counted who changed it on purpose.
    pub(in super::super) fn settled(mut self, before: Option<&Self>, now: Timestamp) -> Self {
        if self.check.is_none() {
            self.signals.check = Signal::default();
        }
        let Signal { health, reason } = self.signals.shown();
        if before.is_none_or(|before| before.health_status != health) {
            self.health_since = now;
        }
        (self.health_status, self.health_reason) = (health, reason);
        self
    }

    /// The same of what came about by itself: it is counted, its status follows, and what nobody sees is no change.
    pub(in super::super) fn settled_by_itself(
        mut self,
        before: Option<&Self>,
        now: Timestamp,
        settings: &settings::Registry,
    ) -> Self {
        if let Some(before) = before {
            self.signals.damp(&before.signals, now, settings);
        }
        self.follow_health();
        let after = self.settled(before, now);
        match before {
            Some(before) if after.shows_as(before) => Self { updated_at: before.updated_at, ..after },
            _ => after,
        }
    }

    /// Whether nothing but signals and times tells it from `before`.
    pub(in super::super) fn shows_as(&self, before: &Self) -> bool {
        let as_before = Self {
            signals: before.signals.clone(),
            last_heartbeat: before.last_heartbeat,
            updated_at: before.updated_at,
            revision: before.revision,
            ..self.clone()
        };
        as_before == *before
    }

    fn follow_health(&mut self) {
        self.status = match (self.status, self.signals.shown().health) {
            (ServiceStatus::Inactive, _) => ServiceStatus::Inactive,
            (status, Health::Unknown) => status,
            (_, Health::Healthy | Health::Warning) => ServiceStatus::Active,
            (_, Health::Critical) => ServiceStatus::Failed,
        };
    }
}
