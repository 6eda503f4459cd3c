//! HTTP of the graph.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::select::{self, Filter},
    Health, Topology, Wanted, draw,
};
use crate::{
    app::App,
    http::{
        auth::ServicesRead,
        error::{ApiResult, Faults, Problem},
        page::{self, Params},
        request::REVISION,
    },
    ids::NodeId,
};

/// How many points one answer may have.
const MOST: usize = 10_000;
/// How many it has when nobody says.
const USUAL: usize = 1000;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(topology))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TopologyQuery {
    /// Services of this name, and what they run on.
    service_name: Option<String>,
    /// Services of this type, and what they run on.
    service_type: Option<String>,
    /// Services in this cluster, and what they run on.
    cluster_id: Option<String>,
    /// This node, and what runs on it.
    node_id: Option<NodeId>,
    /// Services of this health, and what they run on.
    health_status: Option<Health>,
    /// Services with this tag, as `key:value`, and what they run on; several separated by commas.
    tag: Option<String>,
    /// Whether each service is a point of the graph; if not, only its cluster and its node count it. True when absent.
    #[serde(default = "yes")]
    services: bool,
    /// At most this many points, 1 to 10000; 1000 when absent.
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

fn yes() -> bool {
    true
}

/// Draws clusters, nodes and services as a graph: clusters first, then nodes, then services, a page at a time.
#[utoipa::path(get, path = "/topology", tag = "discovery", params(TopologyQuery), responses((status = 200, body = Topology), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:read"))))]
async fn topology(_: ServicesRead, State(app): State<App>, query: Params<TopologyQuery>) -> ApiResult<Response> {
    let Params(query) = query;
    let limit = query.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Faults::one("/limit", format!("must be 1 to {MOST}")).into());
    }
    let filter = Filter {
        service_name: query.service_name,
        service_type: query.service_type,
        cluster_id: query.cluster_id,
        node_id: query.node_id,
        health_status: query.health_status,
        tags: select::tags(query.tag.as_deref())?,
        ..Filter::default()
    };
    let after = page::cursor(query.after.as_deref())?;
    let wanted = Wanted { filter, services: query.services, limit, after };
    // What is drawn is at least as new as this.
    let revision = app.feed.head();
    let drawn = draw(&app.registry.core.index(), revision, &wanted);
    Ok(([(REVISION, revision.0)], Json(drawn)).into_response())
}
