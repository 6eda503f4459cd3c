//! What a node is, and what becomes of one when it is heard of, falls silent, is drained or worked on.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::types::{self, Health, Maintenance, Object, Tags};
use crate::{
    clock::Timestamp,
    db::Json,
    feed::Topic,
    http::{auth::Scope, error::Faults},
    ids::{NodeId, Revision},
    settings, text_enum,
};

/// Nodes, as watchers see them.
pub const NODES: Topic = Topic { name: "nodes", scope: Some(Scope::ServicesRead) };

/// Words that stand in a path where an id could.
const TAKEN: &[&str] = &["heartbeats"];

text_enum! {
    /// What a node is for.
    pub enum NodeType {
        /// It runs the control plane.
        Management = "management",
        /// It runs services.
        Worker = "worker",
        /// It lets callers in.
        Gateway = "gateway",
    }
}

text_enum! {
    /// Whether a node is there.
    pub enum NodeStatus {
        /// It is.
        Active = "active",
        /// It was not heard of in time.
        Inactive = "inactive",
        /// It is being worked on.
        Maintenance = "maintenance",
    }
}

/// What whoever registers a node says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNode {
    /// Its key, 1 to 100 characters without `/`.
    pub node_id: NodeId,
    /// What people call it, 1 to 200 characters.
    pub node_name: String,
    /// What it is for.
    pub node_type: NodeType,
    /// Its address or host name.
    pub host_address: String,
    /// The port that it is reached at, 1 to 65535.
    pub port: i64,
    /// What it can do.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub capabilities: Object,
    /// Processors, memory, storage: what it has.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub resources: Object,
    /// What to find it by.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub tags: Tags,
    /// How long it lives without a heartbeat, 1 to 86400; 0: none is expected. The setting's when absent.
    #[serde(default)]
    pub ttl_seconds: Option<i64>,
}

/// A registered node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Node {
    /// Its key.
    pub node_id: NodeId,
    /// What people call it.
    pub node_name: String,
    /// What it is for.
    pub node_type: NodeType,
    /// Its address or host name.
    pub host_address: String,
    /// The port that it is reached at.
    pub port: i64,
    /// What it can do.
    #[schema(value_type = Object)]
    pub capabilities: Object,
    /// What it has.
    #[schema(value_type = Object)]
    pub resources: Object,
    /// What to find it by.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub tags: Tags,
    /// How long it lives without a heartbeat; 0: none is expected.
    pub ttl_seconds: i64,
    /// Whether it is there.
    pub status: NodeStatus,
    /// Whether it lives.
    pub health_status: Health,
    /// Why that is so, where there is something to say.
    pub health_reason: Option<String>,
    /// Whether it keeps its services and is offered for none.
    pub draining: bool,
    /// Whether it is being worked on.
    #[schema(value_type = Maintenance)]
    pub maintenance: Json<Maintenance>,
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
    /// When it was first registered.
    pub created_at: Timestamp,
    /// When it last changed; heartbeats are no change.
    pub updated_at: Timestamp,
    /// The revision of that change.
    pub revision: Revision,
}

impl NewNode {
    /// Everything that is wrong with it.
    pub fn check(&self) -> Result<(), Faults> {
        let Self { node_id, node_name, node_type: _, host_address, port, capabilities, resources, tags, ttl_seconds } =
            self;
        let mut faults = Faults::new();
        types::check_id(&mut faults, "/node_id", node_id.as_str(), TAKEN);
        faults.name("/node_name", node_name, 200);
        faults.name("/host_address", host_address, 100);
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%' | '[' | ']');
        faults.check(host_address.chars().all(plain), "/host_address", || "is no address or host name".to_owned());
        faults.check((1..=65_535).contains(port), "/port", || "must be 1 to 65535".to_owned());
        types::check_object(&mut faults, "/capabilities", capabilities);
        types::check_object(&mut faults, "/resources", resources);
        types::check_tags(&mut faults, tags);
        types::check_ttl(&mut faults, *ttl_seconds);
        faults.finish()
    }

    /// The node that it makes: new at `now`, or in the place of `before`, which keeps its state.
    pub(in super::super) fn node(&self, before: Option<&Node>, now: Timestamp) -> Node {
        let new = self.clone();
        Node {
            node_id: new.node_id,
            node_name: new.node_name,
            node_type: new.node_type,
            host_address: new.host_address,
            port: new.port,
            capabilities: new.capabilities,
            resources: new.resources,
            tags: new.tags,
            ttl_seconds: new.ttl_seconds.unwrap_or(0),
            status: before.map_or(NodeStatus::Active, |before| before.status),
            health_status: before.map_or(Health::Unknown, |before| before.health_status),
            health_reason: before.and_then(|before| before.health_reason.clone()),
            draining: before.is_some_and(|before| before.draining),
            maintenance: before.map(|before| before.maintenance.clone()).unwrap_or_default(),
            last_seen: before.and_then(|before| before.last_seen),
            created_at: before.map_or(now, |before| before.created_at),
            updated_at: now,
            revision: before.map(|before| before.revision).unwrap_or_default(),
        }
    }
}

impl Node {
    /// What was said of it when it was registered.
    pub fn registration(&self) -> NewNode {
        let own = self.clone();
        NewNode {
            node_id: own.node_id,
            node_name: own.node_name,
            node_type: own.node_type,
            host_address: own.host_address,
            port: own.port,
            capabilities: own.capabilities,
            resources: own.resources,
            tags: own.tags,
            ttl_seconds: Some(own.ttl_seconds),
        }
    }

    /// Whether services on it may be offered, as far as it is concerned.
    pub fn is_offered(&self) -> bool {
        !self.draining && !self.maintenance.enabled
    }

    /// Nodes are all of one kind.
    pub(in super::super) fn kin(&self) -> Option<&str> {
        None
    }

    /// Whether it fell silent.
    pub fn is_silent(&self) -> bool {
        self.health_status == Health::Critical
    }

    /// Whether it has a lease that ends when no heartbeat comes.
    pub(in super::super) fn has_lease(&self) -> bool {
        self.ttl_seconds > 0 && !self.is_silent()
    }

    /// Registering it again is a heartbeat.
    pub(in super::super) fn beats_by_registering(&self) -> bool {
        true
    }

    /// Its health is what was last said of it.
    pub(in super::super) fn settled(self, _: Option<&Self>, _: Timestamp) -> Self {
        self
    }

    /// Its health is what last came about.
    pub(in super::super) fn settled_by_itself(self, _: Option<&Self>, _: Timestamp, _: &settings::Registry) -> Self {
        self
    }

    /// Every change of it is shown.
    pub(in super::super) fn shows_as(&self, _: &Self) -> bool {
        false
    }

    /// Whether a heartbeat changes more than the time of the last one.
    pub(in super::super) fn is_woken_by_a_beat(&self) -> bool {
        matches!(self.health_status, Health::Unknown | Health::Critical)
    }

    /// It was heard of at `now`.
    pub(in super::super) fn beaten(mut self, now: Timestamp) -> Self {
        if self.is_woken_by_a_beat() {
            self.health_status = Health::Healthy;
            self.health_reason = None;
            self.updated_at = now;
        }
        self.last_seen = self.last_seen.max(Some(now));
        self.with_status()
    }

    /// It fell silent.
    pub(in super::super) fn silent(mut self, reason: &str, now: Timestamp) -> Self {
        self.health_status = Health::Critical;
        self.health_reason = Some(reason.to_owned());
        self.updated_at = now;
        self.with_status()
    }

    /// It is being worked on, or not any more.
    pub(in super::super) fn maintained(mut self, maintenance: Maintenance, now: Timestamp) -> Self {
        self.maintenance = Json(maintenance);
        self.updated_at = now;
        self.with_status()
    }

    /// The status follows from maintenance and health.
    fn with_status(mut self) -> Self {
        self.status = match (self.maintenance.enabled, self.health_status) {
            (true, _) => NodeStatus::Maintenance,
            (false, Health::Critical) => NodeStatus::Inactive,
            (false, _) => NodeStatus::Active,
        };
        self
    }
}
