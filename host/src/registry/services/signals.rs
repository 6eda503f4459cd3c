//! What the health of a service is made of, the rule that makes one health of it, and the damping of one that changes too often.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::types::Health;
use crate::{clock::Timestamp, settings};

/// What one side says of the health of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Signal {
    /// Whether it lives.
    pub health: Health,
    /// Why that is so, where there is something to say.
    pub reason: Option<String>,
}

impl Default for Signal {
    fn default() -> Self {
        Self { health: Health::Unknown, reason: None }
    }
}

/// A service whose health changes too often is held at its worse state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    /// The worst that it has been.
    pub health: Health,
    /// Why, and until when.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// What `health_status` is made of.
///
/// The rule: the worst of the three is shown; one that says nothing does not count. A check says `healthy` or `critical`
/// once as many of its answers in a row say so as are wanted. When what `lease` and `check` make together has changed more
/// than `registry.flap_changes` times within `registry.flap_window_seconds`, the worst that it was counts in their place
/// until it has not changed for as long again. What a service reports of itself counts at once: no threshold and no damping
/// stand before it, and a heartbeat, which says that it lives and not that it is well, does not undo it. A report stands
/// until the next one, until somebody sets the health by hand, or until the lease of the service ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Signals {
    /// What heartbeats say, the silence of its node, the source that found it, or whoever set its health by hand.
    pub lease: Signal,
    /// What its check says; before the first verdict, what it was registered as.
    pub check: Signal,
    /// What it says itself in words, as Consul's clients do when they pass, warn or fail.
    pub report: Signal,
    /// When the health that lease and check make last changed by itself: of late, and at most as often as may be.
    pub changed: Vec<Timestamp>,
    /// Whether it is held because it changed too often.
    pub held: Option<Hold>,
}

/// How bad a health is; what is unknown is better than nothing that is known, and worse than nothing.
fn badness(health: Health) -> u8 {
    match health {
        Health::Unknown => 0,
        Health::Healthy => 1,
        Health::Warning => 2,
        Health::Critical => 3,
    }
}

fn worse(a: Health, b: Health) -> Health {
    if badness(b) > badness(a) { b } else { a }
}

/// The first of two that are as bad: it says why.
fn worse_of<'s>(a: &'s Signal, b: &'s Signal) -> &'s Signal {
    if badness(b.health) > badness(a.health) { b } else { a }
}

impl Signals {
    /// The worse of what heartbeats and the check say; while one of them says nothing, the other.
    fn together(&self) -> &Signal {
        let Self { lease, check, report: _, changed: _, held: _ } = self;
        worse_of(lease, check)
    }

    /// What is to be shown.
    pub(super) fn shown(&self) -> Signal {
        let held = self.held.as_ref();
        let held = held.map(|held| Signal { health: held.health, reason: Some(held.reason.clone()) });
        let (report, rest) = (&self.report, held.as_ref().unwrap_or(self.together()));
        // Of two that are as bad one that says why is shown, and silence before words.
        let silent = rest.health == report.health && rest.reason.is_none();
        if silent { report.clone() } else { worse_of(rest, report).clone() }
    }

    /// It came to be what it is after `before`, at `now`: tells whether that is too often, and holds it then.
    pub(super) fn damp(&mut self, before: &Self, now: Timestamp, settings: &settings::Registry) {
        let (was, is) = (before.together().health, self.together().health);
        if was == is || settings.flap_changes == 0 {
            return;
        }
        // To become known is no change, but it may be worse than what is held.
        if was != Health::Unknown {
            let window = Duration::from_secs(settings.flap_window_seconds);
            self.changed.retain(|at| *at <= now && now.since(*at) < window);
            self.changed.push(now);
        }
        if self.held.is_none() && self.changed.len() <= settings.flap_changes {
            return;
        }
        let excess = self.changed.len().saturating_sub(settings.flap_changes + 1);
        self.changed.drain(..excess);
        let before = self.held.as_ref().map_or(Health::Unknown, |held| held.health);
        let health = worse(before, worse(was, is));
        let (times, seconds) = (settings.flap_changes, settings.flap_window_seconds);
        let reason = format!(
            "its health changed more than {times} times in {seconds} s: it is held at {health} until it has not changed for {seconds} s"
        );
        let since = self.held.as_ref().map_or(now, |held| held.since);
        self.held = Some(Hold { health, reason, since });
    }

    /// Whether it is held and need not be any more.
    pub(super) fn is_quiet(&self, now: Timestamp, settings: &settings::Registry) -> bool {
        let window = Duration::from_secs(settings.flap_window_seconds);
        // A clock that was set back is no reason to hold on.
        let quiet = |at: &Timestamp| *at > now || now.since(*at) >= window;
        self.held.is_some() && (settings.flap_changes == 0 || self.changed.iter().all(quiet))
    }

    /// It is held no more, and what it did is forgotten.
    pub(super) fn release(&mut self) {
        self.held = None;
        self.changed.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signal(health: Health) -> Signal {
        Signal { health, reason: Some(health.to_string()) }
    }

    fn signals(lease: Health, check: Health) -> Signals {
        Signals { lease: signal(lease), check: signal(check), ..Signals::default() }
    }

    #[test]
    fn the_worse_counts_and_what_is_unknown_does_not() {
        use Health::{Critical, Healthy, Unknown, Warning};
        for (lease, check, shown) in [
            (Unknown, Unknown, Unknown),
            (Healthy, Unknown, Healthy),
            (Unknown, Healthy, Healthy),
            (Unknown, Critical, Critical),
            (Healthy, Warning, Warning),
            (Healthy, Critical, Critical),
            (Critical, Healthy, Critical),
            (Warning, Healthy, Warning),
        ] {
            assert_eq!(signals(lease, check).shown(), signal(shown), "{lease} and {check}");
        }
    }

    fn health() -> impl Strategy<Value = Health> {
        prop::sample::select(Health::ALL)
    }

    proptest! {
        /// A report is shown at once and is never better than the rest makes it, whatever is held.
        #[test]
        fn a_report_counts_at_once(lease in health(), check in health(), report in health(), held in prop::option::of(health())) {
            let since = Timestamp::from_millis(0).unwrap();
            let held = held.map(|health| Hold { health, reason: "held".to_owned(), since });
            let rest = Signals { held, ..signals(lease, check) };
            let own = Signals { report: signal(report), ..rest.clone() };
            prop_assert_eq!(own.shown().health, worse(rest.shown().health, report));
            let mut damped = own.clone();
            damped.damp(&rest, since, &settings::Registry::default());
            prop_assert_eq!(damped, own, "it is no change that is counted");
        }

        /// Whatever happens, what is shown is never better than what is, changes at most as often as may be in a window
        /// and once more, and is what it is once it has been quiet for a window.
        #[test]
        fn damping_shows_no_better_and_ends(steps in prop::collection::vec((health(), health(), 0..30_u64), 1..60)) {
            let settings = settings::Registry::default();
            let (mut now, mut own) = (Timestamp::from_millis(0).unwrap(), Signals::default());
            let mut seen: Vec<Timestamp> = Vec::new();
            for (lease, check, seconds) in steps {
                now = now.plus(Duration::from_secs(seconds));
                let before = own.clone();
                if own.is_quiet(now, &settings) {
                    own.release();
                }
                (own.lease, own.check) = (signal(lease), signal(check));
                own.damp(&before, now, &settings);
                prop_assert!(badness(own.shown().health) >= badness(own.together().health));
                prop_assert!(own.changed.len() <= settings.flap_changes + 1);
                if own.held.is_none() && before.held.is_none() && before.shown().health != own.shown().health
                    && before.shown().health != Health::Unknown
                {
                    seen.push(now);
                }
                let window = Duration::from_secs(settings.flap_window_seconds);
                let of_late = seen.iter().filter(|at| now.since(**at) < window).count();
                prop_assert!(of_late <= settings.flap_changes, "{of_late} of {seen:?}");
            }
            now = now.plus(Duration::from_secs(settings.flap_window_seconds));
            if own.is_quiet(now, &settings) {
                own.release();
            }
            prop_assert_eq!(own.shown(), own.together().clone());
        }
    }
}
