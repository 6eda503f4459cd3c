//! A part of Consul's HTTP: what services register with, and what Prometheus, proxies and other clients find them by.
//!
//! This server is the one agent of the datacentre, so the id of a service is one of its kind over all machines.
//!
//! | Consul | registry |
//! | --- | --- |
//! | ID, Name | `service_id`, `service_name` |
//! | Address, Port | `service_url`, with the scheme of the metadata (`scheme`, or `secure=true`), or http; no Port is port 0 |
//! | Tags | `tags`: `k=v` is a tag with a value, everything else one with an empty value |
//! | Meta | `tags`, before Tags; `service_type` and `node_id` where they say so |
//! | Weights.Passing | `weight`, times 100 |
//! | a check with a TTL | `ttl_seconds` |
//! | a check by HTTP, TCP or gRPC | `check`, which the server makes; of the address of the service alone |
//! | SuccessBeforePassing, FailuresBeforeCritical | `healthy_after`, `critical_after`; 1 where it does not say |
//! | DeregisterCriticalServiceAfter | `deregister_after_seconds`, 60 or more; the soonest of several |
//! | pass, warn, fail; Status of a check with a TTL | a report (`signals.report`) of healthy, warning, critical, and a heartbeat |
//! | Status of a check by HTTP, TCP or gRPC | what the check says before its first verdict |
//! | Status of an answer | `health_status`; unknown is told as critical |
//! | maintenance of a service or node | `maintenance`, `draining` |
//!
//! What does not fit is kept in `config.consul`. The index of an answer is the revision of the name that was asked for; for
//! lists, of what is listed.
//!
//! Read on in `types` (registration), `checks`, `shown` (answers), `blocking`, `agent` and `catalog` (HTTP).

mod agent;
mod blocking;
mod catalog;
mod checks;
mod routes;
mod shown;
mod types;

pub(super) use agent::PATHS as AGENT;
pub(super) use catalog::PATHS as CATALOG;
pub(super) use routes::routes;

/// What `config` keeps of Consul.
const SYSTEM: &str = "consul";

/// The node of services that are on none: this server.
const AGENT_NODE: &str = "looma";
