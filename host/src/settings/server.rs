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
    /// How long a body may take to arrive, from first to last byte, in seconds.
    pub request_timeout_seconds: u64,
    /// How long the first request of a connection may take to come, up to the end of its headers, in seconds.
    pub header_timeout_seconds: u64,
    /// How long a connection may wait for its next request, up to the end of its headers, in seconds.
    pub idle_timeout_seconds: u64,
    /// How many connections are served at a time; more are answered 503.
    pub connections: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7600)),
            data: PathBuf::from("data"),
            body_limit: 4 << 20,
            request_timeout_seconds: 60,
            header_timeout_seconds: 10,
            // Longer than clients keep a connection that is idle, so that it is not closed under a request.
            idle_timeout_seconds: 120,
            connections: 10_000,
        }
    }
}

impl Server {
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self { header_timeout_seconds: 0, .. } => {
                Err("server.header_timeout_seconds must be at least 1".to_owned())
            }
            Self { idle_timeout_seconds: 0, .. } => Err("server.idle_timeout_seconds must be at least 1".to_owned()),
            Self { connections: 0, .. } => Err("server.connections must be at least 1".to_owned()),
            _ => Ok(()),
        }
    }
}
