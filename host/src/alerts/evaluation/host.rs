//! What the host says of itself, for rules whose evaluator is `host`. No plugin is asked: a plugin at fault is told of all the same.
//! It says what this replica sees, which is the one that evaluates, and so the one whose evaluators and notifiers are called.

use std::{collections::BTreeMap, sync::Arc};

use sha2::{Digest as _, Sha256};

use super::judge::{Judged, Judgement};
use crate::{
    alerts::{machine::Verdict, rules::Rule},
    app::App,
    clock::Timestamp,
    ids::ServiceId,
    metrics::{Series, SeriesId, SeriesKey},
    notify::By,
    plugins::{PluginName, State},
    text_enum,
};

/// The name of the evaluator.
pub const HOST: &str = "host";

text_enum! {
    /// What a rule of the evaluator `host` can watch, as its `metric_name`.
    pub enum Condition {
        /// 1 for each plugin that is quarantined, 0 for each that is not; the label `plugin` says which.
        PluginQuarantined = "plugin_quarantined",
        /// 1 while the expiry of services is held back, else 0.
        RegistryProtected = "registry_protected",
    }
}

/// Judges what the rule watches; nothing, when that is not known.
pub(super) fn judge(app: &App, rule: &Rule, now: Timestamp) -> Judged {
    let seen = match rule.spec.metric_name.parse::<Condition>() {
        Ok(Condition::PluginQuarantined) => app.plugins.states().into_iter().map(quarantine).collect(),
        Ok(Condition::RegistryProtected) => vec![protection(app)],
        Err(_) => Vec::new(),
    };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let by = Arc::new(By { name: HOST.to_owned(), version, digest: String::new() });
    let judgement = |Seen { tags, reason }: Seen| Judgement {
        series: Arc::new(series(&rule.spec.metric_name, tags, now)),
        verdict: if reason.is_some() { Verdict::Breach(rule.spec.severity) } else { Verdict::Normal },
        value: Some(f64::from(u8::from(reason.is_some()))),
        note: reason,
        by: Arc::clone(&by),
    };
    Judged { judgements: seen.into_iter().map(judgement).collect(), ..Judged::default() }
}

/// Something of the host, and what is the matter with it.
struct Seen {
    tags: BTreeMap<String, String>,
    reason: Option<String>,
}

fn quarantine((name, state, error): (PluginName, State, Option<String>)) -> Seen {
    let reason = (state == State::Quarantined).then(|| error.unwrap_or_default());
    Seen { tags: BTreeMap::from([("plugin".to_owned(), name.to_string())]), reason }
}

fn protection(app: &App) -> Seen {
    let protection = app.registry.protection();
    Seen { tags: BTreeMap::new(), reason: protection.active.then(|| protection.reason.unwrap_or_default()) }
}

/// The series that stands for it. Its number is below zero: those of the metrics are above.
fn series(condition: &str, tags: BTreeMap<String, String>, now: Timestamp) -> Series {
    let key = SeriesKey { service_id: ServiceId("looma".to_owned()), metric_name: condition.to_owned(), tags };
    let hash = Sha256::digest(key.digest());
    let number = i64::from(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]));
    Series::new(SeriesId(-1 - number), key, None, now.millis())
}
