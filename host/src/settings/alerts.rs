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
}

impl Default for Alerts {
    fn default() -> Self {
        Self { delivery_attempts: 12, retry_seconds: 2, retry_max_seconds: 900, public_url: None }
    }
}
