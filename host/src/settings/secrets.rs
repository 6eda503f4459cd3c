//! Secrets that plugins name.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[secrets]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Secrets {
    /// The file with the key that secrets are sealed under; `DATA/secrets-key` when absent, made at the first start.
    /// Replicas share one.
    pub key_file: Option<PathBuf>,
}
