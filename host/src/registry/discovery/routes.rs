//! HTTP of discovery.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        index::Held,
        pick::{Choice, Strategy},
        select::{self, Filter},
        services::Service,
        types::Health,
    },
    Instances, Wait, target,
};
use crate::{
    app::App,
    http::{
        auth::ServicesRead,
        error::{ApiError, ApiResult, Faults, Problem},
        etag::Conditions,
        page::Params,
        request::REVISION,
    },
    ids::{NodeId, Revision},
};

/// How long a lookup may wait.
const LONGEST_WAIT: u64 = 300;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(discover)).routes(routes!(pick)).routes(routes!(targets))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DiscoverQuery {
    /// Only those that may be offered: alive, and neither they nor their node drained or worked on.
    #[serde(default)]
    healthy: bool,
    /// Of this type.
    r#type: Option<String>,
    /// In this cluster.
    cluster: Option<String>,
    /// On this node.
    node: Option<NodeId>,
    /// In this zone: its tag `zone` says so, or its node's.
    zone: Option<String>,
    /// Of this health.
    health: Option<Health>,
    /// With this tag, as `key:value`; several separated by commas.
    tag: Option<String>,
    /// The revision that is known: the answer waits for a newer one.
    revision: Option<i64>,
    /// How long to wait, in seconds, 0 to 300, and by chance up to a sixteenth longer; then the answer is what is known.
    wait: Option<u64>,
}

/// Gives the instances of a name; with `revision` and `wait`, once what is asked for of that name has changed.
#[utoipa::path(get, path = "/discovery/{service_name}", tag = "discovery", params(("service_name" = String, Path), DiscoverQuery), responses((status = 200, body = Instances), (status = 304, description = "they are as you know them"), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:read"))))]
async fn discover(
    _: ServicesRead,
    State(app): State<App>,
    Path(name): Path<String>,
    query: Params<DiscoverQuery>,
    conditions: Conditions,
) -> ApiResult<Response> {
    let Params(DiscoverQuery { healthy, r#type, cluster, node, zone, health, tag, revision, wait }) = query;
    let filter = Filter {
        service_name: Some(name.clone()),
        service_type: r#type,
        cluster_id: cluster,
        node_id: node,
        zone,
        health_status: health,
        tags: select::tags(tag.as_deref())?,
        offered: healthy,
        ..Filter::default()
    };
    let seconds = wait.unwrap_or(0);
    if seconds > LONGEST_WAIT {
        return Err(Faults::one("/wait", format!("must be 0 to {LONGEST_WAIT}")).into());
    }
    if let Some(known) = revision.filter(|_| seconds > 0) {
        let wait = Wait { beyond: Revision(known), at_most: Duration::from_secs(seconds) };
        app.registry.wait(&name, &filter, &wait, &app.tasks).await;
    }
    let found = app.registry.instances(&name, &filter);
    // What is protected does not change a revision, but it changes the answer.
    let tag = format!("\"{}-{}\"", found.revision, u8::from(found.protection.active));
    let mut response = conditions.answer_as(&tag, &found)?;
    response.headers_mut().insert(REVISION, found.revision.0.into());
    Ok(response)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PickQuery {
    /// How: round-robin, random, weighted, consistent-hash, least-connections, power-of-two, zone-aware.
    #[serde(default)]
    #[param(inline)]
    strategy: Strategy,
    /// For consistent-hash: what shall always meet the same instance.
    key: Option<String>,
    /// For zone-aware: where the caller is.
    zone: Option<String>,
    /// Of this type.
    r#type: Option<String>,
    /// In this cluster.
    cluster: Option<String>,
    /// On this node.
    node: Option<NodeId>,
    /// With this tag, as `key:value`; several separated by commas.
    tag: Option<String>,
}

/// Picks one instance of a name, of those that may be offered.
#[utoipa::path(get, path = "/discovery/{service_name}/pick", tag = "discovery", params(("service_name" = String, Path), PickQuery), responses((status = 200, body = Service), (status = 404, description = "none can be offered", body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:read"))))]
async fn pick(
    _: ServicesRead,
    State(app): State<App>,
    Path(name): Path<String>,
    query: Params<PickQuery>,
) -> ApiResult<Response> {
    let Params(PickQuery { strategy, key, zone, r#type, cluster, node, tag }) = query;
    if strategy == Strategy::ConsistentHash && key.is_none() {
        return Err(Faults::one("/key", "is missing: consistent-hash needs something to hash").into());
    }
    if (strategy == Strategy::ZoneAware) != zone.is_some() {
        return Err(Faults::one("/zone", "goes together with the strategy zone-aware").into());
    }
    let all = Filter {
        service_name: Some(name.clone()),
        service_type: r#type,
        cluster_id: cluster,
        node_id: node,
        tags: select::tags(tag.as_deref())?,
        ..Filter::default()
    };
    let filter = Filter { offered: true, ..all.clone() };
    let core = &app.registry.core;
    let index = core.index();
    let picked = index.name(&name).and_then(|own| {
        let offered = filter.select(&index);
        let all = if strategy == Strategy::ZoneAware { all.select(&index) } else { Vec::new() };
        let choice = Choice { index: &index, name: own, offered: &offered, all: &all, random: &core.random };
        choice.pick(strategy, key.as_deref(), zone.as_deref()).map(Held::shown)
    });
    let (revision, _) = index.revision_of(&name);
    let service = picked.ok_or_else(|| ApiError::NotFound(format!("instance of {name:?} that can be offered")))?;
    Ok(([(REVISION, revision.0)], Json(service)).into_response())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TargetsQuery {
    /// Of this name.
    service_name: Option<String>,
    /// Of this type.
    service_type: Option<String>,
    /// In this cluster.
    cluster_id: Option<String>,
    /// With this tag, as `key:value`; several separated by commas.
    tag: Option<String>,
}

/// Lists what Prometheus shall ask, as its `http_sd` reads it: every service with an http or https URL, whatever its health.
#[utoipa::path(get, path = "/prometheus/targets", tag = "discovery", params(TargetsQuery), responses((status = 200, description = "groups of `targets` and `labels`", body = Vec<Object>)), extensions(("x-looma-access" = json!("services:read"))))]
async fn targets(_: ServicesRead, State(app): State<App>, query: Params<TargetsQuery>) -> ApiResult<Json<Vec<Value>>> {
    let Params(TargetsQuery { service_name, service_type, cluster_id, tag }) = query;
    let tags = select::tags(tag.as_deref())?;
    let filter = Filter { service_name, service_type, cluster_id, tags, ..Filter::default() };
    let index = app.registry.core.index();
    Ok(Json(filter.select(&index).into_iter().filter_map(|held| target(&held.thing)).collect()))
}
