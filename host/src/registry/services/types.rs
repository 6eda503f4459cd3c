//! What a service is, and what becomes of one when it is heard of, falls silent, or is worked on.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::types::{self, Health, Maintenance, Object, Tags};
use crate::{
    clock::Timestamp,
    db::Json,
    feed::Topic,
    http::{auth::Scope, error::Faults},
    ids::{NodeId, Revision, ServiceId},
    text_enum,
};

/// Services, as watchers see them.
pub const SERVICES: Topic = Topic { name: "services", scope: Some(Scope::ServicesRead) };

/// The origin of a service that registered itself.
pub const SELF: &str = "self";

/// Words that stand in a path where an id could.
const TAKEN: &[&str] = &["batch"];

text_enum! {
    /// Where a service is in its life.
    pub enum ServiceStatus {
        /// It was registered and has not been heard of since.
        Registered = "registered",
        /// It was heard of.
        Active = "active",
        /// Somebody switched it off; heartbeats do not change that.
        Inactive = "inactive",
        /// It was not heard of in time.
        Failed = "failed",
    }
}

text_enum! {
    /// How a check asks.
    pub enum CheckKind {
        /// A GET of `path`.
        Http = "http",
        /// A connection.
        Tcp = "tcp",
        /// The gRPC health protocol.
        Grpc = "grpc",
    }
}

/// How a service wants to be checked. It is kept and shown with the service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// How to ask.
    pub kind: CheckKind,
    /// What to ask for; for `http`.
    #[serde(default)]
    pub path: Option<String>,
    /// How often, 1 to 86400.
    #[serde(default = "ten")]
    pub interval_seconds: i64,
    /// How long to wait for an answer, 1 to `interval_seconds`.
    #[serde(default = "two")]
    pub timeout_seconds: i64,
}

fn ten() -> i64 {
    10
}

fn two() -> i64 {
    2
}

fn hundred() -> i64 {
    100
}

/// What whoever registers a service says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewService {
    /// Its key, 1 to 100 characters without `/`.
    pub service_id: ServiceId,
    /// What it is an instance of, 1 to 200 characters.
    pub service_name: String,
    /// What kind of service that is, 1 to 50 characters.
    pub service_type: String,
    /// Where it answers: http, https, tcp or grpc.
    pub service_url: String,
    /// The node it runs on.
    #[serde(default)]
    pub node_id: Option<NodeId>,
    /// The cluster it belongs to.
    #[serde(default)]
    pub cluster_id: Option<String>,
    /// What it can do.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub capabilities: Object,
    /// What else is to be known of it.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub config: Object,
    /// What to find it by.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub tags: Tags,
    /// Its share of the calls against that of others, 0 to 10000.
    #[serde(default = "hundred")]
    pub weight: i64,
    /// How long it lives without a heartbeat, 1 to 86400; 0: none is expected. The setting's when absent.
    #[serde(default)]
    pub ttl_seconds: Option<i64>,
    /// How it wants to be checked.
    #[serde(default)]
    #[schema(value_type = Option<Check>)]
    pub check: Option<Json<Check>>,
}

/// What can be said of the state of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Where it is in its life.
    pub status: ServiceStatus,
    /// Whether it lives.
    pub health_status: Health,
    /// Why that is so.
    #[serde(default)]
    pub health_reason: Option<String>,
}

/// A registered service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Service {
    /// Its key.
    pub service_id: ServiceId,
    /// What it is an instance of.
    pub service_name: String,
    /// What kind of service that is.
    pub service_type: String,
    /// Where it answers.
    pub service_url: String,
    /// The node it runs on.
    pub node_id: Option<NodeId>,
    /// The cluster it belongs to.
    pub cluster_id: Option<String>,
    /// What it can do.
    #[schema(value_type = Object)]
    pub capabilities: Object,
    /// What else is to be known of it.
    #[schema(value_type = Object)]
    pub config: Object,
    /// What to find it by.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub tags: Tags,
    /// Its share of the calls.
    pub weight: i64,
    /// How long it lives without a heartbeat; 0: none is expected.
    pub ttl_seconds: i64,
    /// How it wants to be checked.
    #[sqlx(rename = "health_check")]
    #[schema(value_type = Option<Check>)]
    pub check: Option<Json<Check>>,
    /// Where it is in its life.
    pub status: ServiceStatus,
    /// Whether it lives.
    pub health_status: Health,
    /// Why that is so, where there is something to say.
    pub health_reason: Option<String>,
    /// Whether it is being worked on.
    #[schema(value_type = Maintenance)]
    pub maintenance: Json<Maintenance>,
    /// How it came to be here: `self`, or `source:NAME`.
    pub origin: String,
    /// When it was last heard of.
    pub last_heartbeat: Option<Timestamp>,
    /// When it was first registered.
    pub registered_at: Timestamp,
    /// When it last changed; heartbeats are no change.
    pub updated_at: Timestamp,
    /// The revision of that change.
    pub revision: Revision,
}

impl NewService {
    /// Everything that is wrong with it.
    pub fn check(&self) -> Result<(), Faults> {
        let Self {
            service_id,
            service_name,
            service_type,
            service_url,
            node_id,
            cluster_id,
            capabilities,
            config,
            tags,
            weight,
            ttl_seconds,
            check,
        } = self;
        let mut faults = Faults::new();
        types::check_id(&mut faults, "/service_id", service_id.as_str(), TAKEN);
        faults.name("/service_name", service_name, 200);
        faults.check(!service_name.contains('/'), "/service_name", || "must not hold a /".to_owned());
        faults.name("/service_type", service_type, 50);
        check_url(&mut faults, service_url);
        if let Some(node_id) = node_id {
            types::check_id(&mut faults, "/node_id", node_id.as_str(), &[]);
        }
        if let Some(cluster_id) = cluster_id {
            faults.name("/cluster_id", cluster_id, 100);
        }
        types::check_object(&mut faults, "/capabilities", capabilities);
        types::check_object(&mut faults, "/config", config);
        types::check_tags(&mut faults, tags);
        faults.check((0..=10_000).contains(weight), "/weight", || "must be 0 to 10000".to_owned());
        types::check_ttl(&mut faults, *ttl_seconds);
        if let Some(check) = check {
            check.check(&mut faults);
        }
        faults.finish()
    }

    /// The service that it makes: new at `now`, or in the place of `before`, which keeps its state.
    pub(in super::super) fn service(&self, before: Option<&Service>, origin: &str, now: Timestamp) -> Service {
        let new = self.clone();
        let (status, health_status) = (ServiceStatus::Registered, Health::Unknown);
        Service {
            service_id: new.service_id,
            service_name: new.service_name,
            service_type: new.service_type,
            service_url: new.service_url,
            node_id: new.node_id,
            cluster_id: new.cluster_id,
            capabilities: new.capabilities,
            config: new.config,
            tags: new.tags,
            weight: new.weight,
            ttl_seconds: new.ttl_seconds.unwrap_or(0),
            check: new.check,
            status: before.map_or(status, |before| before.status),
            health_status: before.map_or(health_status, |before| before.health_status),
            health_reason: before.and_then(|before| before.health_reason.clone()),
            maintenance: before.map(|before| before.maintenance.clone()).unwrap_or_default(),
            origin: origin.to_owned(),
            last_heartbeat: before.and_then(|before| before.last_heartbeat),
            registered_at: before.map_or(now, |before| before.registered_at),
            updated_at: now,
            revision: before.map(|before| before.revision).unwrap_or_default(),
        }
    }
}

impl Check {
    fn check(&self, faults: &mut Faults) {
        let Self { kind, path, interval_seconds, timeout_seconds } = self;
        let path_fits = match (kind, path) {
            (CheckKind::Http, Some(path)) => path.starts_with('/') && path.len() <= 500,
            (_, path) => path.is_none(),
        };
        faults
            .check(path_fits, "/check/path", || "is for kind http, begins with / and has at most 500 bytes".to_owned());
        faults.check(path.as_ref().is_none_or(|path| !path.chars().any(char::is_control)), "/check/path", || {
            "must not hold control characters".to_owned()
        });
        let interval = (1..=86_400).contains(interval_seconds);
        faults.check(interval, "/check/interval_seconds", || "must be 1 to 86400".to_owned());
        let timeout = *timeout_seconds >= 1 && timeout_seconds <= interval_seconds;
        faults.check(timeout, "/check/timeout_seconds", || "must be 1 to interval_seconds".to_owned());
    }
}

impl Condition {
    /// What is said of `service` now.
    pub(super) fn of(service: &Service) -> Self {
        let Service { status, health_status, health_reason, .. } = service.clone();
        Self { status, health_status, health_reason }
    }

    pub(super) fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::new();
        faults.text("/health_reason", self.health_reason.as_deref().unwrap_or(""), 500);
        faults.finish()
    }
}

fn check_url(faults: &mut Faults, url: &str) {
    const POINTER: &str = "/service_url";
    faults.name(POINTER, url, 500);
    if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return faults.check(url.trim().is_empty(), POINTER, || "must not hold spaces".to_owned());
    }
    let parsed = match reqwest::Url::parse(url) {
        Ok(parsed) => parsed,
        Err(error) => return faults.check(url.is_empty(), POINTER, || format!("is not a URL: {error}")),
    };
    let known = matches!(parsed.scheme(), "http" | "https" | "tcp" | "grpc");
    faults.check(known, POINTER, || "must begin with http, https, tcp or grpc".to_owned());
    faults.check(parsed.host_str().is_some_and(|host| !host.is_empty()), POINTER, || "must name a host".to_owned());
    let secret = !parsed.username().is_empty() || parsed.password().is_some();
    faults.check(!secret, POINTER, || "must not hold a user or a password".to_owned());
    let portless = matches!(parsed.scheme(), "tcp" | "grpc") && parsed.port().is_none();
    faults.check(!portless, POINTER, || "must name a port".to_owned());
}

impl Service {
    /// What was said of it when it was registered.
    pub fn registration(&self) -> NewService {
        let own = self.clone();
        NewService {
            service_id: own.service_id,
            service_name: own.service_name,
            service_type: own.service_type,
            service_url: own.service_url,
            node_id: own.node_id,
            cluster_id: own.cluster_id,
            capabilities: own.capabilities,
            config: own.config,
            tags: own.tags,
            weight: own.weight,
            ttl_seconds: Some(own.ttl_seconds),
            check: own.check,
        }
    }

    /// Whether `new` says what is known already.
    pub(in super::super) fn is_as(&self, new: &NewService) -> bool {
        let NewService {
            service_id,
            service_name,
            service_type,
            service_url,
            node_id,
            cluster_id,
            capabilities,
            config,
            tags,
            weight,
            ttl_seconds,
            check,
        } = new;
        (service_id, service_name, service_type, service_url)
            == (&self.service_id, &self.service_name, &self.service_type, &self.service_url)
            && (node_id, cluster_id, tags) == (&self.node_id, &self.cluster_id, &self.tags)
            && (capabilities, config, check) == (&self.capabilities, &self.config, &self.check)
            && (weight, ttl_seconds) == (&self.weight, &Some(self.ttl_seconds))
    }

    /// Whether whoever asks for healthy ones may get it, as far as it alone is concerned.
    pub fn is_offered(&self) -> bool {
        matches!(self.health_status, Health::Healthy | Health::Warning)
            && self.status != ServiceStatus::Inactive
            && !self.maintenance.enabled
    }

    /// Whether a heartbeat changes more than the time of the last one.
    pub(in super::super) fn is_woken_by_a_beat(&self) -> bool {
        matches!(self.health_status, Health::Unknown | Health::Critical)
            || matches!(self.status, ServiceStatus::Registered | ServiceStatus::Failed)
    }

    /// It was heard of at `now`.
    pub(in super::super) fn beaten(mut self, now: Timestamp) -> Self {
        if self.is_woken_by_a_beat() {
            if self.status != ServiceStatus::Inactive {
                self.status = ServiceStatus::Active;
            }
            if self.health_status != Health::Warning {
                self.health_status = Health::Healthy;
                self.health_reason = None;
            }
            self.updated_at = now;
        }
        self.last_heartbeat = self.last_heartbeat.max(Some(now));
        self
    }

    /// It fell silent, or what it runs on did.
    pub(in super::super) fn silent(mut self, reason: &str, now: Timestamp) -> Self {
        if self.status != ServiceStatus::Inactive {
            self.status = ServiceStatus::Failed;
        }
        self.health_status = Health::Critical;
        self.health_reason = Some(reason.to_owned());
        self.updated_at = now;
        self
    }
}
