//! What services and nodes have in common: health, maintenance, tags, and the rules for what may be sent.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::checks::CheckCounts;
use crate::{clock::Timestamp, db::Json, http::error::Faults, ids::Revision, text_enum};

text_enum! {
    /// Whether it lives, as far as is known.
    pub enum Health {
        /// Nothing is known yet.
        Unknown = "unknown",
        /// It was heard of in time.
        Healthy = "healthy",
        /// It serves, and says that something is not right.
        Warning = "warning",
        /// It was not heard of in time, or says so itself.
        Critical = "critical",
    }
}

/// Whether it is being worked on, and so offered to nobody. Heartbeats and restarts leave this as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Maintenance {
    /// Whether it is.
    pub enabled: bool,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// A request to begin or to end maintenance.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetMaintenance {
    /// Whether it is being worked on from now on.
    pub enabled: bool,
    /// Why; at most 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Whether leases that ran out are held back, because too many did at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Protection {
    /// Whether they are.
    pub active: bool,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Why, with figures.
    pub reason: Option<String>,
}

/// How many there are, for metrics and summaries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Services by health, then by status.
    pub services: BTreeMap<(&'static str, &'static str), u64>,
    /// Nodes by health, then by status.
    pub nodes: BTreeMap<(&'static str, &'static str), u64>,
    /// Heartbeats since the start.
    pub heartbeats: u64,
    /// Leases that ran out since the start.
    pub expired: u64,
    /// Whether expiry of services is held back.
    pub protected: bool,
    /// Services that are held at their worse state.
    pub held: u64,
    /// Checks.
    pub checks: CheckCounts,
}

impl Counts {
    /// The Prometheus text format, version 0.0.4.
    pub fn render(&self, out: &mut String) {
        let Self { services, nodes, heartbeats, expired, protected, held, checks } = self;
        for (name, of, counts) in [("looma_services", "Services", services), ("looma_nodes", "Nodes", nodes)] {
            let _ = writeln!(out, "# HELP {name} {of} that are registered.\n# TYPE {name} gauge");
            for ((health, status), count) in counts {
                let _ = writeln!(out, "{name}{{health_status=\"{health}\",status=\"{status}\"}} {count}");
            }
        }
        for (name, kind, help, value) in [
            ("looma_heartbeats_total", "counter", "Heartbeats of services and nodes.", *heartbeats),
            ("looma_expired_total", "counter", "Leases that ran out.", *expired),
            ("looma_health_held", "gauge", "Services that are held at their worse state.", *held),
            ("looma_checks_under_way", "gauge", "Checks that wait for an answer.", checks.under_way),
            ("looma_checks_waiting", "gauge", "Checks that are due and wait for others to end.", checks.waiting),
            ("looma_protection_active", "gauge", "Whether expiry of services is held back.", u64::from(*protected)),
        ] {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
        let _ =
            writeln!(out, "# HELP looma_checks_total Checks by what came of them.\n# TYPE looma_checks_total counter");
        for (result, count) in [("passed", checks.passed), ("failed", checks.failed)] {
            let _ = writeln!(out, "looma_checks_total{{result=\"{result}\"}} {count}");
        }
    }
}

/// A JSON object.
pub type Object = Json<Map<String, Value>>;
/// Tags, by key.
pub type Tags = Json<BTreeMap<String, String>>;

const MAX_TAGS: usize = 64;
const MAX_OBJECT_BYTES: usize = 64 << 10;

/// A maintenance that `asked` for, begun at `now` or going on since `before`.
pub(super) fn maintenance(asked: &SetMaintenance, before: &Maintenance, now: Timestamp) -> Maintenance {
    match asked.enabled {
        false => Maintenance::default(),
        true => Maintenance {
            enabled: true,
            reason: asked.reason.clone(),
            since: before.since.filter(|_| before.enabled).or(Some(now)),
        },
    }
}

impl SetMaintenance {
    pub(super) fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::new();
        faults.text("/reason", self.reason.as_deref().unwrap_or(""), 500);
        faults.finish()
    }
}

/// An id that can stand in a path: `taken` are words that stand there already.
pub(super) fn check_id(faults: &mut Faults, pointer: &str, id: &str, taken: &[&str]) {
    faults.name(pointer, id, 100);
    faults.check(!id.contains('/'), pointer, || "must not hold a /".to_owned());
    faults.check(id == id.trim(), pointer, || "must not begin or end with a space".to_owned());
    let dots = id == "." || id == "..";
    faults
        .check(!dots && !taken.contains(&id), pointer, || format!("cannot be {id:?}, which means something in a path"));
}

pub(super) fn check_tags(faults: &mut Faults, tags: &BTreeMap<String, String>) {
    faults.check(tags.len() <= MAX_TAGS, "/tags", || format!("must be at most {MAX_TAGS}, are {}", tags.len()));
    for (key, value) in tags {
        let pointer = format!("/tags/{}", key.replace('~', "~0").replace('/', "~1"));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let good = (1..=100).contains(&key.len()) && key.chars().all(plain);
        faults.check(good, &pointer, || "a key has 1 to 100 of A-Z a-z 0-9 _ . -".to_owned());
        faults.text(&pointer, value, 500);
    }
}

pub(super) fn check_object(faults: &mut Faults, pointer: &str, object: &Map<String, Value>) {
    let text = serde_json::to_string(object).unwrap_or_default();
    let bytes = text.len();
    faults.check(bytes <= MAX_OBJECT_BYTES, pointer, || {
        format!("must be at most {MAX_OBJECT_BYTES} bytes of JSON, are {bytes}")
    });
    faults.check(!text.contains("\\u0000"), pointer, || "must not hold the character NUL".to_owned());
}

pub(super) fn check_ttl(faults: &mut Faults, ttl_seconds: Option<i64>) {
    faults.check(ttl_seconds.is_none_or(|ttl| (0..=86_400).contains(&ttl)), "/ttl_seconds", || {
        "must be 1 to 86400, or 0 when no heartbeat is expected".to_owned()
    });
}

/// A path segment that means `id` (RFC 3986, section 2.1).
pub(super) fn segment(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The entity tag of a revision. A heartbeat alone does not change it.
pub(super) fn tag(revision: Revision) -> String {
    format!("\"{revision}\"")
}
