//! Leases of services and nodes.

use serde::{Deserialize, Serialize};

/// `[registry]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// How long a service lives without a heartbeat when it does not say, in seconds.
    pub default_ttl_seconds: u32,
    /// The largest share of live services, 0 to 1, that one sweep may mark critical.
    pub max_expired_share: f64,
    /// Below this many live services the share does not bind.
    pub min_protected: usize,
}

impl Default for Registry {
    fn default() -> Self {
        Self { default_ttl_seconds: 15, max_expired_share: 0.15, min_protected: 20 }
    }
}

impl Registry {
    pub(super) fn check(&self) -> Result<(), String> {
        match self.max_expired_share {
            0.0..=1.0 if self.max_expired_share > 0.0 => Ok(()),
            _ => Err("registry.max_expired_share must be over 0 and at most 1".to_owned()),
        }
    }
}
