//! Leases of services and nodes.

use serde::{Deserialize, Serialize};

/// `[registry]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// How long a service or a node lives without a heartbeat when it does not say, in seconds; 0: none is expected.
    pub default_ttl_seconds: u32,
    /// The largest share of live services, and of live nodes, 0 to 1, that one sweep may mark critical.
    pub max_expired_share: f64,
    /// Below this many live ones the share does not bind.
    pub min_protected: usize,
}

impl Default for Registry {
    fn default() -> Self {
        Self { default_ttl_seconds: 15, max_expired_share: 0.15, min_protected: 20 }
    }
}

impl Registry {
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self { default_ttl_seconds: 86_401.., .. } => {
                Err("registry.default_ttl_seconds must be at most 86400".to_owned())
            }
            Self { max_expired_share: share, .. } if !(*share > 0.0 && *share <= 1.0) => {
                Err("registry.max_expired_share must be over 0 and at most 1".to_owned())
            }
            _ => Ok(()),
        }
    }
}
