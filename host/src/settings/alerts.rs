//! Evaluation and delivery of alerts.

use serde::{Deserialize, Serialize};

/// `[alerts]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// How often a notification is tried before it is given up.
    pub delivery_attempts: u32,
    /// The pause after the first failed attempt, in seconds; it doubles with each.
    pub retry_seconds: u64,
    /// The longest pause between attempts, in seconds.
    pub retry_max_seconds: u64,
    /// Where the console is, for links in notifications; the listening address when absent.
    pub public_url: Option<String>,
    /// How long alerts that are over are kept, in days.
    pub history_days: u32,
    /// How long notifications that came to an end are kept, in days.
    pub delivery_log_days: u32,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            delivery_attempts: 12,
            retry_seconds: 2,
            retry_max_seconds: 900,
            public_url: None,
            history_days: 400,
            delivery_log_days: 90,
        }
    }
}

impl Alerts {
    /// Whether the values make sense.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("delivery_attempts", u64::from(self.delivery_attempts)),
            ("retry_seconds", self.retry_seconds),
            ("retry_max_seconds", self.retry_max_seconds),
            ("history_days", u64::from(self.history_days)),
            ("delivery_log_days", u64::from(self.delivery_log_days)),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(format!("alerts.{name} must be above 0")),
            None => Ok(()),
        }
    }
}
