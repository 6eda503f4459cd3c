//! How new versions of a plugin come into service, and where one stands that is on its way.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    clock::Timestamp,
    http::error::Faults,
    plugins::types::{Kind, Source},
    text_enum,
};

/// Most calls that a version can be asked to run beside the one that serves.
const MOST_CALLS: u64 = 1_000_000;
/// The longest that a share or a guard can last: thirty days.
const LONGEST_SECONDS: u64 = 30 * 24 * 3600;

/// What a new version must run beside the one that serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// How many calls are compared.
    pub calls: u64,
}

text_enum! {
    /// Who decides that a version goes on.
    pub enum Promote {
        /// An operator.
        Manual = "manual",
        /// The server, as long as the version is within its bounds.
        Automatic = "automatic",
    }
}

/// How a new version of a plugin comes into service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PluginRollout)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Calls that it runs beside the version that serves, with nothing coming of its answers; for kinds that only compute.
    pub shadow: Option<Shadow>,
    /// Percent of the keys (a rule's series, a channel's groups, a source, a project, a document) that it then serves; 0: none.
    pub canary_percent: f64,
    /// How long that lasts before it can be promoted by itself.
    pub canary_seconds: u64,
    /// How long after the swap it is taken back by itself when it is beyond its bounds; the server's setting when absent.
    pub guard_seconds: Option<u64>,
    /// Who promotes it.
    pub promote: Promote,
    /// Percent of the compared calls that may be answered in another way.
    pub max_difference_percent: f64,
    /// How many percent more of its calls may fail than of the other's.
    pub max_error_percent: f64,
    /// How many times as long its calls may take, by the median; a few milliseconds more are never too long.
    pub max_latency_ratio: f64,
    /// How far apart two numbers may be that count as the same, in proportion to the larger one or to 1.
    pub tolerance: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            shadow: None,
            canary_percent: 0.0,
            canary_seconds: 300,
            guard_seconds: None,
            promote: Promote::Manual,
            max_difference_percent: 0.0,
            max_error_percent: 1.0,
            max_latency_ratio: 5.0,
            tolerance: 0.0,
        }
    }
}

impl Policy {
    /// What is wrong with it for plugins of `kind`.
    pub(super) fn faults(&self, kind: Kind) -> Faults {
        let mut faults = Faults::new();
        let percent = |value: f64| (0.0..=100.0).contains(&value);
        for (pointer, value) in [
            ("/canary_percent", self.canary_percent),
            ("/max_difference_percent", self.max_difference_percent),
            ("/max_error_percent", self.max_error_percent),
        ] {
            if !percent(value) {
                faults.add(pointer, "must be 0 to 100");
            }
        }
        if !(1.0..=1000.0).contains(&self.max_latency_ratio) {
            faults.add("/max_latency_ratio", "must be 1 to 1000");
        }
        if !(0.0..=1.0).contains(&self.tolerance) {
            faults.add("/tolerance", "must be 0 to 1");
        }
        let longest = format!("must be at most {LONGEST_SECONDS}");
        if self.canary_seconds > LONGEST_SECONDS {
            faults.add("/canary_seconds", longest.clone());
        }
        if self.guard_seconds.is_some_and(|seconds| seconds > LONGEST_SECONDS) {
            faults.add("/guard_seconds", longest);
        }
        if let Some(Shadow { calls }) = self.shadow {
            if !(1..=MOST_CALLS).contains(&calls) {
                faults.add("/shadow/calls", format!("must be 1 to {MOST_CALLS}"));
            }
            if !kind.is_pure() {
                let why = format!(
                    "a {kind} acts outside, and two versions beside each other would act twice: use canary_percent alone"
                );
                faults.add("/shadow", why);
            }
        }
        if kind == Kind::TalentEmbedder && self.canary_percent > 0.0 {
            let why = "the vectors of two versions do not stand in one space: use shadow alone";
            faults.add("/canary_percent", why);
        }
        faults
    }

    /// Where a new version begins; `None`: it serves at once.
    pub(super) fn first_stage(&self) -> Option<Stage> {
        match (&self.shadow, self.canary_percent > 0.0) {
            (Some(_), _) => Some(Stage::Shadow),
            (None, true) => Some(Stage::Canary),
            (None, false) => None,
        }
    }
}

text_enum! {
    /// Where a version stands.
    pub enum Stage {
        /// It runs beside the version that serves, and nothing comes of its answers.
        Shadow = "shadow",
        /// It serves a share of the keys.
        Canary = "canary",
        /// It serves, and is taken back by itself when it is beyond its bounds.
        Guard = "guard",
        /// It serves, and proved itself.
        Done = "done",
        /// It was given up before it served.
        Aborted = "aborted",
        /// It served, and was taken back.
        RolledBack = "rolled-back",
        /// It was not taken at all.
        Refused = "refused",
    }
}

impl Stage {
    /// Whether the version is on its way, beside another that serves.
    pub(in crate::plugins) fn is_on_its_way(self) -> bool {
        matches!(self, Self::Shadow | Self::Canary)
    }

    /// Whether the version came to nothing.
    pub(in crate::plugins) fn is_lost(self) -> bool {
        matches!(self, Self::Aborted | Self::RolledBack | Self::Refused)
    }
}

/// Which version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionRef {
    /// The version that it says it is; absent where it could not be asked.
    pub version: Option<String>,
    /// SHA-256 of its file, in hexadecimal.
    pub digest: String,
}

/// A version on its way, or what became of it. What the database and the feed carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::plugins) struct Candidate {
    pub(in crate::plugins) plugin: VersionRef,
    pub(in crate::plugins) source: Source,
    pub(in crate::plugins) stage: Stage,
    /// Since when it is in this stage.
    pub(in crate::plugins) since: Timestamp,
    /// Until when it is guarded.
    pub(in crate::plugins) until: Option<Timestamp>,
    /// Why it is where it is, or does not go on.
    pub(in crate::plugins) reason: Option<String>,
    /// What served when it came.
    pub(in crate::plugins) before: Option<VersionRef>,
    /// The signature that came beside it.
    #[serde(default)]
    pub(in crate::plugins) signature: Option<String>,
}

impl Candidate {
    /// The same, in another stage from `now` on.
    pub(in crate::plugins) fn moved(&self, stage: Stage, now: Timestamp, reason: Option<String>) -> Self {
        Self { stage, since: now, until: None, reason, ..self.clone() }
    }

    pub(in crate::plugins) fn digest(&self) -> &str {
        &self.plugin.digest
    }

    /// As people see it.
    pub(in crate::plugins) fn shown(&self) -> RolloutInfo {
        let Self { plugin, source: _, stage, since, until, reason, before: _, signature: _ } = self.clone();
        RolloutInfo { stage, candidate: plugin, since, until, reason }
    }
}

/// The newest version of a plugin on its way into service, and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutInfo {
    /// Where it stands.
    pub stage: Stage,
    /// Which version.
    pub candidate: VersionRef,
    /// Since when it stands there.
    pub since: Timestamp,
    /// Until when it is guarded, while it is.
    pub until: Option<Timestamp>,
    /// Why it stands there, or does not go on.
    pub reason: Option<String>,
}

/// A version that was replaced and still has calls under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrainingVersion {
    /// The version that it says it is.
    pub version: String,
    /// SHA-256 of its file, in hexadecimal.
    pub digest: String,
    /// Calls under way; they are ended at the drain deadline.
    pub calls: usize,
}

text_enum! {
    /// What became of a version.
    pub enum Action {
        /// It came into service as the first one, or at once.
        Loaded = "loaded",
        /// It was not taken.
        Refused = "refused",
        /// It began to run beside the version that serves.
        Shadow = "shadow",
        /// It began to serve a share.
        Canary = "canary",
        /// It came into service.
        Promoted = "promoted",
        /// It served well for as long as it was guarded.
        Proved = "proved",
        /// It was given up before it served.
        Aborted = "aborted",
        /// The version before it came back.
        RolledBack = "rolled-back",
        /// It failed too often and rests.
        Quarantined = "quarantined",
        /// It serves again after a rest.
        Recovered = "recovered",
        /// It was switched on.
        Enabled = "enabled",
        /// It was switched off.
        Disabled = "disabled",
        /// Its grants changed.
        Granted = "granted",
    }
}

/// One entry of a plugin's history.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[schema(as = PluginHistoryEntry)]
pub struct Entry {
    /// Its key.
    pub history_id: String,
    /// What happened.
    pub action: Action,
    /// Why, in words.
    pub reason: Option<String>,
    /// Who: `user:ID`, `token:ID` or `system:TASK`.
    pub actor: String,
    /// The version that served before.
    pub from_version: Option<String>,
    /// SHA-256 of its file.
    pub from_digest: Option<String>,
    /// The version that this is about.
    pub to_version: Option<String>,
    /// SHA-256 of its file.
    pub to_digest: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_outside_runs_beside_nothing() {
        let shadow = Policy { shadow: Some(Shadow { calls: 10 }), ..Policy::default() };
        assert!(shadow.faults(Kind::AlertEvaluator).finish().is_ok());
        assert!(shadow.faults(Kind::Notifier).finish().is_err());
        assert!(shadow.faults(Kind::DiscoveryStrategy).finish().is_err());
        let canary = Policy { canary_percent: 10.0, ..Policy::default() };
        assert!(canary.faults(Kind::Notifier).finish().is_ok());
        assert!(canary.faults(Kind::TalentEmbedder).finish().is_err());
    }

    #[test]
    fn numbers_beyond_sense_are_faults() {
        for wrong in [
            Policy { canary_percent: 101.0, ..Policy::default() },
            Policy { max_latency_ratio: 0.5, ..Policy::default() },
            Policy { tolerance: f64::NAN, ..Policy::default() },
            Policy { shadow: Some(Shadow { calls: 0 }), ..Policy::default() },
        ] {
            assert!(wrong.faults(Kind::AlertEvaluator).finish().is_err(), "{wrong:?}");
        }
    }
}
