//! Samples.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `[metrics]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// How long samples are kept, in hours.
    pub retention_hours: u32,
    /// How much of each series stays in memory for evaluation and recent queries, in seconds.
    pub recent_seconds: u32,
    /// Series that one service may have.
    pub max_series_per_service: usize,
    /// Tags that one series may have.
    pub max_tags: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { retention_hours: 48, recent_seconds: 3600, max_series_per_service: 1000, max_tags: 16 }
    }
}

impl Metrics {
    /// How long samples are kept.
    pub fn retention(&self) -> Duration {
        Duration::from_secs(u64::from(self.retention_hours) * 3600)
    }

    /// How much of each series stays in memory.
    pub fn recent(&self) -> Duration {
        Duration::from_secs(u64::from(self.recent_seconds))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self { retention_hours: 0, .. } => Err("metrics.retention_hours must be at least 1".to_owned()),
            Self { recent_seconds: ..60, .. } => Err("metrics.recent_seconds must be at least 60".to_owned()),
            Self { max_series_per_service: 0, .. } => {
                Err("metrics.max_series_per_service must be at least 1".to_owned())
            }
            _ if self.recent() > self.retention() => {
                Err("metrics.recent_seconds must not be longer than metrics.retention_hours".to_owned())
            }
            _ => Ok(()),
        }
    }
}
