//! Where the data is.

use serde::{Deserialize, Serialize};

/// `[database]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `postgres://…` or `sqlite:FILE`; SQLite in the data folder when absent.
    pub url: Option<String>,
    /// Connections to PostgreSQL, or readers of SQLite.
    pub connections: u32,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, connections: 8 }
    }
}
