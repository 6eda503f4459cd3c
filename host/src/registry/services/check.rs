//! How a service wants to be checked: what is asked, how often, and how many answers count.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{http::error::Faults, text_enum};

text_enum! {
    /// How a check asks.
    pub enum CheckKind {
        /// A GET of `path`. It passes with a status of 2xx, or with `expected_status`; redirects are not followed.
        Http = "http",
        /// A connection to the host and port of `service_url`.
        Tcp = "tcp",
        /// The gRPC health protocol (`grpc.health.v1.Health/Check`), without TLS. It passes when the answer is SERVING.
        Grpc = "grpc",
    }
}

/// How a service is checked, by the server itself, at the host and port of its `service_url`.
///
/// Checks, heartbeats and what a service reports of itself make one health: the worst of the three, as `Signals` says.
/// Until the check has come to a verdict the others alone count. A service that has never sent a heartbeat, or whose
/// `ttl_seconds` is 0, lives by the check. Renewing the registration of such a service is no heartbeat. A node that falls
/// silent takes its services with it, but not one whose check has passed since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// How to ask.
    pub kind: CheckKind,
    /// What to ask for, with a query if need be; for `http`. That of `service_url` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The one status that passes, 100 to 599; for `http`. Any of 200 to 299 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_status: Option<i64>,
    /// What to ask the health of; for `grpc`. The server as a whole when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_service: Option<String>,
    /// How often, 1 to 86400; moved by up to a twentieth, so that checks do not meet.
    #[serde(default = "ten")]
    pub interval_seconds: i64,
    /// How long to wait for an answer, 1 to `interval_seconds`.
    #[serde(default = "two")]
    pub timeout_seconds: i64,
    /// How many checks must pass in a row before it is healthy, 1 to 100; 1 when absent.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub healthy_after: i64,
    /// How many must fail in a row before it is critical, 1 to 100; 3 when absent. One that was healthy is in warning
    /// before that.
    #[serde(default = "three", skip_serializing_if = "is_three")]
    pub critical_after: i64,
}

fn ten() -> i64 {
    10
}

fn two() -> i64 {
    2
}

fn one() -> i64 {
    1
}

fn three() -> i64 {
    3
}

// What is usual is not shown: a check is answered as it was sent.
fn is_one(count: &i64) -> bool {
    *count == one()
}

fn is_three(count: &i64) -> bool {
    *count == three()
}

impl Check {
    pub(super) fn check(&self, faults: &mut Faults) {
        let Self {
            kind,
            path,
            expected_status,
            grpc_service,
            interval_seconds,
            timeout_seconds,
            healthy_after,
            critical_after,
        } = self;
        let path_fits = match (kind, path) {
            (CheckKind::Http, Some(path)) => path.starts_with('/') && path.len() <= 500,
            (_, path) => path.is_none(),
        };
        faults
            .check(path_fits, "/check/path", || "is for kind http, begins with / and has at most 500 bytes".to_owned());
        let plain = |text: &String| !text.chars().any(|c| c.is_control() || c.is_whitespace());
        faults.check(path.as_ref().is_none_or(plain), "/check/path", || {
            "must not hold spaces or control characters".to_owned()
        });
        let status = expected_status.is_none_or(|status| *kind == CheckKind::Http && (100..=599).contains(&status));
        faults.check(status, "/check/expected_status", || "is for kind http, 100 to 599".to_owned());
        let named = |name: &String| *kind == CheckKind::Grpc && name.len() <= 200 && plain(name);
        faults.check(grpc_service.as_ref().is_none_or(named), "/check/grpc_service", || {
            "is for kind grpc, has at most 200 bytes and no spaces".to_owned()
        });
        let interval = (1..=86_400).contains(interval_seconds);
        faults.check(interval, "/check/interval_seconds", || "must be 1 to 86400".to_owned());
        let timeout = *timeout_seconds >= 1 && timeout_seconds <= interval_seconds;
        faults.check(timeout, "/check/timeout_seconds", || "must be 1 to interval_seconds".to_owned());
        for (name, count) in [("healthy_after", healthy_after), ("critical_after", critical_after)] {
            let pointer = format!("/check/{name}");
            faults.check((1..=100).contains(count), &pointer, || "must be 1 to 100".to_owned());
        }
    }
}
