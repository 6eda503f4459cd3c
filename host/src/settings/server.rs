//! Where the server listens and keeps its files.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// `[server]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port; loopback unless told otherwise.
    pub listen: SocketAddr,
    /// Folder for everything that this process keeps.
    pub data: PathBuf,
    /// The largest body that a request may have, in bytes; uploads of plugins have a limit of their own.
    pub body_limit: usize,
    /// How long a request may take to arrive, in seconds.
    pub request_timeout_seconds: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7600)),
            data: PathBuf::from("data"),
            body_limit: 4 << 20,
            request_timeout_seconds: 60,
        }
    }
}
