//! What is notified: the alert as people are told of it, and what matches it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{clock::Timestamp, http::error::Faults, text_enum};

text_enum! {
    /// How bad it is.
    pub enum Severity {
        /// Worth knowing.
        Info = "info",
        /// Worth a look soon.
        Warning = "warning",
        /// Worth getting up for.
        Critical = "critical",
    }
}

text_enum! {
    /// Whether it still goes on.
    pub enum AlertStatus {
        /// It does.
        Firing = "firing",
        /// It is over.
        Resolved = "resolved",
    }
}

/// Labels of an alert, or of a group of them.
pub type Labels = BTreeMap<String, String>;

/// An alert as people are told of it; what notifiers get.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Told {
    /// Its key.
    pub id: String,
    /// The name of the rule that it came of.
    pub rule: String,
    /// Whether it goes on.
    pub status: AlertStatus,
    /// How bad it is.
    pub severity: Severity,
    /// Of which service.
    pub service_id: String,
    /// The name of that service.
    pub service_name: String,
    /// The type of that service.
    #[serde(default)]
    pub service_type: String,
    /// Tags of the series and labels of the rule.
    pub labels: Labels,
    /// What was measured.
    pub value: Option<f64>,
    /// What it says.
    pub message: String,
    /// When it began to fire.
    pub started_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

impl Told {
    /// The value of a key that matchers and groups may name: a field of the alert, or a label.
    pub fn get(&self, key: &str) -> &str {
        match key {
            "severity" => self.severity.as_str(),
            "rule_name" => &self.rule,
            "service_id" => &self.service_id,
            "service_name" => &self.service_name,
            "service_type" => &self.service_type,
            label => self.labels.get(label).map_or("", String::as_str),
        }
    }
}

/// Exactly which plugin did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct By {
    /// Its name.
    pub name: String,
    /// The version that it says it is.
    pub version: String,
    /// SHA-256 of its file, in hexadecimal.
    pub digest: String,
}

/// What an alert must equal. Keys are `severity`, `rule_name`, `service_id`, `service_name`, `service_type`, or a label; a
/// label that is not there is the empty text. No keys match every alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = std::collections::BTreeMap<String, String>)]
pub struct Matchers(pub Labels);

impl Matchers {
    /// Whether the alert is meant.
    pub fn match_alert(&self, alert: &Told) -> bool {
        self.0.iter().all(|(key, value)| alert.get(key) == value)
    }

    /// Adds what is wrong with them.
    pub fn check(&self, faults: &mut Faults, pointer: &str) {
        check_labels(faults, pointer, &self.0);
        if let Some(severity) = self.0.get("severity").filter(|text| text.parse::<Severity>().is_err()) {
            faults.add(format!("{pointer}/severity"), format!("{severity:?} is none of info, warning, critical"));
        }
    }
}

/// Whether a text can name a label: a letter or `_`, then letters, digits, `_`, `.`, `-`, `/`; at most 100 characters.
pub fn is_label_name(text: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    text.len() <= 100 && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(letters)
}

/// Adds what is wrong with labels: names, lengths, and that there are more than 32.
pub fn check_labels(faults: &mut Faults, pointer: &str, labels: &Labels) {
    faults.check(labels.len() <= 32, pointer, || format!("must have at most 32 entries, has {}", labels.len()));
    for (key, value) in labels {
        let at = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
        faults.check(is_label_name(key), &at, || format!("{key:?} is not a name of a label"));
        faults.text(&at, value, 500);
    }
}
