//! What other protocols' clients may use.

use serde::{Deserialize, Serialize};

/// `[gateway]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Whether clients of Nacos are answered, under `/nacos/v1`.
    pub nacos: bool,
    /// Whether clients of Consul are answered, under `/consul/v1` and `/v1`.
    pub consul: bool,
    /// What clients of Consul are told that this datacentre is called.
    pub datacenter: String,
}

impl Default for Gateway {
    fn default() -> Self {
        Self { nacos: true, consul: true, datacenter: "dc1".to_owned() }
    }
}

impl Gateway {
    pub(super) fn check(&self) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        match !self.datacenter.is_empty() && self.datacenter.len() <= 64 && self.datacenter.chars().all(plain) {
            true => Ok(()),
            false => Err("gateway.datacenter must be 1 to 64 of A-Z a-z 0-9 - _".to_owned()),
        }
    }
}
