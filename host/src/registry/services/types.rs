//! What a service is, and what is said of one when it registers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    super::types::{self, Health, Maintenance, Object, Tags},
    check::Check,
    signals::Signals,
};
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

/// What health is made of, where nobody is shown a change.
pub const SIGNALS: Topic = Topic { name: "service_signals", scope: None };

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
    /// How long it is critical before it is removed, 1 to 2592000; 0: it is not. The setting's when absent. Meanwhile it
    /// is not under maintenance, nor is its node, and the server has had a minute and a time-to-live to hear of it.
    #[serde(default)]
    pub deregister_after_seconds: Option<i64>,
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
    /// How long it is critical before it is removed.
    pub deregister_after_seconds: Option<i64>,
    /// Where it is in its life.
    pub status: ServiceStatus,
    /// Whether it lives.
    pub health_status: Health,
    /// Why that is so, where there is something to say.
    pub health_reason: Option<String>,
    /// Since when it is of this health.
    pub health_since: Timestamp,
    /// What its health is made of.
    #[schema(value_type = Signals)]
    pub signals: Json<Signals>,
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
            deregister_after_seconds,
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
        let after = deregister_after_seconds.is_none_or(|after| (0..=2_592_000).contains(&after));
        faults.check(after, "/deregister_after_seconds", || "must be 1 to 2592000, or 0: never".to_owned());
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
            deregister_after_seconds: new.deregister_after_seconds,
            status: before.map_or(status, |before| before.status),
            health_status: before.map_or(health_status, |before| before.health_status),
            health_reason: before.and_then(|before| before.health_reason.clone()),
            health_since: before.map_or(now, |before| before.health_since),
            signals: before.map(|before| before.signals.clone()).unwrap_or_default(),
            maintenance: before.map(|before| before.maintenance.clone()).unwrap_or_default(),
            origin: origin.to_owned(),
            last_heartbeat: before.and_then(|before| before.last_heartbeat),
            registered_at: before.map_or(now, |before| before.registered_at),
            updated_at: now,
            revision: before.map(|before| before.revision).unwrap_or_default(),
        }
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
            deregister_after_seconds: own.deregister_after_seconds,
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
            deregister_after_seconds,
        } = new;
        (service_id, service_name, service_type, service_url)
            == (&self.service_id, &self.service_name, &self.service_type, &self.service_url)
            && (node_id, cluster_id, tags) == (&self.node_id, &self.cluster_id, &self.tags)
            && (capabilities, config, check) == (&self.capabilities, &self.config, &self.check)
            && (weight, ttl_seconds) == (&self.weight, &Some(self.ttl_seconds))
            && *deregister_after_seconds == self.deregister_after_seconds
    }

    /// Whether whoever asks for healthy ones may get it, as far as it alone is concerned.
    pub fn is_offered(&self) -> bool {
        matches!(self.health_status, Health::Healthy | Health::Warning)
            && self.status != ServiceStatus::Inactive
            && !self.maintenance.enabled
    }
}
