//! Sign-in.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[auth]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// How long an access token is good for, in seconds.
    pub access_token_seconds: i64,
    /// How long a session lasts without a refresh, in seconds.
    pub session_seconds: u64,
    /// Failed sign-ins a minute, for one name or one address, before more are refused.
    pub failures_per_minute: u32,
    /// The file with the signing key; `DATA/signing-key` when absent. Replicas share one.
    pub signing_key_file: Option<PathBuf>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            access_token_seconds: 900,
            session_seconds: 14 * 24 * 3600,
            failures_per_minute: 5,
            signing_key_file: None,
        }
    }
}

impl Auth {
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self { access_token_seconds: ..=0, .. } => Err("auth.access_token_seconds must be at least 1".to_owned()),
            Self { failures_per_minute: 0, .. } => Err("auth.failures_per_minute must be at least 1".to_owned()),
            _ => Ok(()),
        }
    }
}
