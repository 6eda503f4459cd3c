//! `App`: the handles that every handler gets. It has no logic.

use axum::extract::FromRef;

use crate::{
    alerts::Alerts,
    clock::Clock,
    db::Db,
    discovery::Discovery,
    feed::Feed,
    gateway::dns,
    http::{auth::Auth, request::Counts},
    ids::{Ids, ReplicaId},
    lifecycle::Tasks,
    metrics::Metrics,
    notify::Notify,
    plugins::Plugins,
    registry::Registry,
    secrets::Safe,
    settings::Settings,
    talent::Talent,
    users::Users,
};

/// The handles of one running server. Clones share them.
#[derive(Clone, FromRef)]
pub struct App {
    /// What was set at the start.
    pub settings: std::sync::Arc<Settings>,
    /// The time.
    pub clock: Clock,
    /// New identifiers and secrets.
    pub ids: Ids,
    /// Which replica this is.
    pub replica: ReplicaId,
    /// The database.
    pub db: Db,
    /// The change feed.
    pub feed: Feed,
    /// Supervised tasks.
    pub tasks: Tasks,
    /// Who is asking.
    pub auth: Auth,
    /// Requests, counted.
    pub counts: Counts,
    /// Users, sessions, tokens.
    pub users: Users,
    /// What plugins name and never see.
    pub secrets: Safe,
    /// Sandboxed components.
    pub plugins: Plugins,
    /// Services and nodes.
    pub registry: Registry,
    /// Questions of DNS, counted.
    pub dns: dns::Counts,
    /// Samples.
    pub metrics: Metrics,
    /// Rules and alerts.
    pub alerts: Alerts,
    /// Channels, routes, deliveries.
    pub notify: Notify,
    /// Sources.
    pub discovery: Discovery,
    /// Talents.
    pub talent: Talent,
}
