//! Leases, checks and health of services and nodes.

use serde::{Deserialize, Serialize};

/// `[registry]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// How long a service or a node lives without a heartbeat when it does not say, in seconds; 0: none is expected.
    pub default_ttl_seconds: u32,
    /// How much later than that a heartbeat may come, as a share of the time-to-live, 0 to 1.
    pub late_beat_grace: f64,
    /// The largest share of live services, of those of each name, and of live nodes, 0 to 1, that one sweep may mark critical.
    pub max_expired_share: f64,
    /// Below this many live ones the share does not bind.
    pub min_protected: usize,
    /// How many checks may be under way, on the replica that does them.
    pub checks_under_way: usize,
    /// Whether checks may go to link-local addresses and to those where providers show what a machine is.
    pub check_link_local: bool,
    /// How often health may change within the window before a service is held at its worse state; 0: as often as it will.
    pub flap_changes: usize,
    /// That window, in seconds; a service is held until its health has not changed for as long.
    pub flap_window_seconds: u64,
    /// How long a service that does not say is critical before it is removed, in seconds; 0: it is not.
    pub deregister_after_seconds: u32,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            default_ttl_seconds: 15,
            late_beat_grace: 0.0,
            max_expired_share: 0.15,
            min_protected: 20,
            checks_under_way: 256,
            check_link_local: false,
            flap_changes: 5,
            flap_window_seconds: 60,
            deregister_after_seconds: 0,
        }
    }
}

impl Registry {
    pub(super) fn check(&self) -> Result<(), String> {
        let Self {
            default_ttl_seconds,
            late_beat_grace,
            max_expired_share,
            min_protected: _,
            checks_under_way,
            check_link_local: _,
            flap_changes,
            flap_window_seconds,
            deregister_after_seconds,
        } = self;
        let rules = [
            (*default_ttl_seconds <= 86_400, "default_ttl_seconds must be at most 86400"),
            ((0.0..=1.0).contains(late_beat_grace), "late_beat_grace must be 0 to 1"),
            (*max_expired_share > 0.0 && *max_expired_share <= 1.0, "max_expired_share must be over 0 and at most 1"),
            ((1..=10_000).contains(checks_under_way), "checks_under_way must be 1 to 10000"),
            (*flap_changes <= 100, "flap_changes must be at most 100"),
            ((1..=86_400).contains(flap_window_seconds), "flap_window_seconds must be 1 to 86400"),
            (*deregister_after_seconds <= 2_592_000, "deregister_after_seconds must be at most 2592000"),
        ];
        match rules.iter().find(|(kept, _)| !kept) {
            Some((_, rule)) => Err(format!("registry.{rule}")),
            None => Ok(()),
        }
    }
}
