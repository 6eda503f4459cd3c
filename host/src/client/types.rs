//! What a client sends and reads, in the shapes of the REST API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to ask for the next one with.
    pub next: Option<String>,
}

/// A node to be registered.
#[derive(Clone, Debug, Serialize)]
pub struct NewNode {
    /// Its key.
    pub node_id: String,
    /// What people call it.
    pub node_name: String,
    /// `management`, `worker` or `gateway`.
    pub node_type: &'static str,
    /// Its address.
    pub host_address: String,
    /// The port that it is reached at.
    pub port: u16,
    /// What it can do.
    pub capabilities: Value,
    /// What it has.
    pub resources: Value,
    /// How long it lives without a heartbeat.
    pub ttl_seconds: u64,
}

/// What became of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// It was noted.
    Known,
    /// Nobody knows the node: it must be registered again.
    Unknown,
}

/// A sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// Whose it is.
    pub service_id: String,
    /// What was measured.
    pub metric_name: &'static str,
    /// How much.
    pub metric_value: f64,
    /// What it is measured in.
    pub metric_unit: Option<&'static str>,
    /// Of which part.
    pub tags: BTreeMap<&'static str, String>,
    /// When.
    pub timestamp: Timestamp,
}
