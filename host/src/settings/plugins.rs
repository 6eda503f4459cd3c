//! Sandboxed components.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// `[plugins]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plugins {
    /// The folder that plugins are loaded from; `DATA/plugins` when absent.
    pub dir: Option<PathBuf>,
    /// The largest component that is looked at, in bytes.
    pub max_component_bytes: u64,
    /// The memory that one instance may have when its grant does not say, in bytes.
    pub memory_bytes: u64,
    /// The memory that all instances may have together, in bytes.
    pub total_memory_bytes: u64,
    /// The time that one call may take when its grant does not say, in milliseconds.
    pub deadline_ms: u64,
    /// The time that compiling one component may take, in seconds.
    pub compile_seconds: u64,
    /// How long after a swap a version is taken back by itself when it fails or is slow, where its policy does not say, in seconds.
    pub guard_seconds: u64,
    /// How long calls on a version that was replaced may go on, in seconds.
    pub drain_seconds: u64,
    /// Whether only plugins that are signed with a trusted key are taken.
    pub require_signature: bool,
    /// Keys whose signatures count, each as `NAME:KEY`; `looma plugin keygen` makes one.
    pub trusted_keys: Vec<String>,
    /// Name servers that plugins' lookups of SRV and TXT are sent to; the system's when empty.
    pub name_servers: Vec<SocketAddr>,
    /// Threads that pure plugins run on, at least two; two a core, at least four, when absent. One plugin has half of them at most,
    /// and more are started while plugins hold theirs.
    pub threads: Option<usize>,
    /// Where compiled components are kept; `DATA/plugin-cache` when absent. Nobody else may write there.
    pub cache: Option<PathBuf>,
    /// The binary whose processes compile components; this one when absent.
    pub compiler: Option<PathBuf>,
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            dir: None,
            max_component_bytes: 64 << 20,
            memory_bytes: 64 << 20,
            total_memory_bytes: 2 << 30,
            deadline_ms: 5000,
            compile_seconds: 120,
            guard_seconds: 300,
            drain_seconds: 30,
            require_signature: false,
            trusted_keys: Vec::new(),
            name_servers: Vec::new(),
            threads: None,
            cache: None,
            compiler: None,
        }
    }
}
