//! HTTP of nodes.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        Registry, WriteError,
        select::{self, Asked, Cell, Filter},
        services::{MOST_HEARTBEATS, Service, page_of},
        types::{self, Health, SetMaintenance, segment, tag},
        writer::{Edit, Reply, Verdict},
    },
    NewNode, Node, NodeStatus, NodeType, registering,
};
use crate::{
    app::App,
    feed,
    http::{
        auth::{Binding, Caller, ServicesRead, ServicesWrite, Subject},
        body::{Body, Patch},
        error::{ApiError, ApiResult, Faults, OrNotFound as _, Problem},
        etag::{self, Conditions},
        page::{Page, Params},
    },
    ids::NodeId,
};

/// How often a patch is tried on what has changed under it.
const TRIES: usize = 3;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register, list))
        .routes(routes!(heartbeats))
        .routes(routes!(read, patch, deregister))
        .routes(routes!(heartbeat))
        .routes(routes!(maintain))
        .routes(routes!(drain, undrain))
        .routes(routes!(services))
}

/// A token that is bound to a service does not speak for a node.
fn must_be_free(who: &Caller) -> ApiResult<()> {
    match &who.subject {
        Subject::Token(token) if token.binding != Binding::default() => {
            Err(ApiError::Forbidden("this token is bound to a service, and this is a node".to_owned()))
        }
        _ => Ok(()),
    }
}

/// Registers a node, or renews it; a renewal counts as a heartbeat.
#[utoipa::path(post, path = "/nodes", tag = "nodes", request_body = NewNode, responses((status = 201, description = "it is new", body = Node), (status = 200, description = "it was known", body = Node), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn register(who: ServicesWrite, State(app): State<App>, Body(new): Body<NewNode>) -> ApiResult<Response> {
    must_be_free(&who)?;
    new.check()?;
    let ttl = new.ttl_seconds.unwrap_or_else(|| i64::from(app.settings.registry.default_ttl_seconds));
    let new = NewNode { ttl_seconds: Some(ttl), ..new };
    let id = new.node_id.clone();
    if is_renewed(&app.registry, &new) {
        return known(&app, &id);
    }
    let done = app.registry.edit(registering(new, who.actor())).await?;
    app.registry.registered(&done, &id).await?;
    match (done.before, done.after) {
        (None, Some(node)) => etag::created(&format!("/api/v1/nodes/{}", segment(id.as_str())), node),
        _ => known(&app, &id),
    }
}

/// Takes it as a heartbeat if memory can tell that it is a renewal and changes nothing.
fn is_renewed(registry: &Registry, new: &NewNode) -> bool {
    let same = |known: &Node| known.registration() == *new && !known.is_woken_by_a_beat();
    registry.renews_from_memory()
        && registry.node(&new.node_id).as_deref().is_some_and(same)
        && matches!(registry.touch::<Node>(&new.node_id), Some(None))
}

fn known(app: &App, id: &NodeId) -> ApiResult<Response> {
    let node = app.registry.shown::<Node>(id).or_not_found("node")?;
    Ok(Json(node).into_response())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Of this type.
    node_type: Option<NodeType>,
    /// In this status.
    status: Option<NodeStatus>,
    /// Of this health.
    health_status: Option<Health>,
    /// Whether it is being drained.
    draining: Option<bool>,
    /// With this tag, as `key:value`; several separated by commas.
    tag: Option<String>,
    /// At most this many, 1 to 1000; 100 when absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Fields to sort by, separated by commas, `-` before one that falls: node_name, node_type, status, health_status,
    /// created_at, updated_at.
    sort: Option<String>,
}

const SORTABLE: &[&str] = &["node_id", "node_name", "node_type", "status", "health_status", "created_at", "updated_at"];

fn cell(node: &Node, field: &str) -> Cell {
    match field {
        "node_name" => node.node_name.as_str().into(),
        "node_type" => node.node_type.as_str().into(),
        "status" => node.status.as_str().into(),
        "health_status" => node.health_status.as_str().into(),
        "created_at" => Cell::Number(node.created_at.millis()),
        "updated_at" => Cell::Number(node.updated_at.millis()),
        _ => node.node_id.as_str().into(),
    }
}

/// Lists nodes.
#[utoipa::path(get, path = "/nodes", tag = "nodes", params(ListQuery), responses((status = 200, body = Page<Node>), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:read"))))]
async fn list(_: ServicesRead, State(app): State<App>, query: Params<ListQuery>) -> ApiResult<Json<Page<Node>>> {
    let Params(ListQuery { node_type, status, health_status, draining, tag, limit, after, sort }) = query;
    let tags = select::tags(tag.as_deref())?;
    let asked = Asked { limit, after: after.as_deref(), sort: sort.as_deref() };
    let index = app.registry.core.index();
    let wanted = |node: &Node| {
        node_type.is_none_or(|wanted| wanted == node.node_type)
            && status.is_none_or(|wanted| wanted == node.status)
            && health_status.is_none_or(|wanted| wanted == node.health_status)
            && draining.is_none_or(|wanted| wanted == node.draining)
            && select::has_tags(&node.tags, &tags)
    };
    let found = index.nodes.after(None).filter(|held| wanted(&held.thing));
    Ok(Json(select::page(found, &asked, SORTABLE, cell)?))
}

/// Reads a node. A heartbeat alone does not change its entity tag.
#[utoipa::path(get, path = "/nodes/{node_id}", tag = "nodes", params(("node_id" = String, Path)), responses((status = 200, body = Node), (status = 304, description = "it is as you know it"), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("services:read"))))]
async fn read(
    _: ServicesRead,
    State(app): State<App>,
    Path(id): Path<NodeId>,
    conditions: Conditions,
) -> ApiResult<Response> {
    app.registry.find::<Node>(&id).await?;
    let node = app.registry.shown::<Node>(&id).or_not_found("node")?;
    conditions.answer_as(&tag(node.revision), &node)
}

/// Changes what was registered.
#[utoipa::path(patch, path = "/nodes/{node_id}", tag = "nodes", params(("node_id" = String, Path)), request_body(content = NewNode, content_type = "application/merge-patch+json"), responses((status = 200, body = Node), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn patch(
    who: ServicesWrite,
    State(app): State<App>,
    Path(id): Path<NodeId>,
    conditions: Conditions,
    Patch(fields): Patch,
) -> ApiResult<Response> {
    must_be_free(&who)?;
    for _ in 0..TRIES {
        let current = app.registry.find_for_write::<Node>(&id, &conditions).await?;
        let new: NewNode = Patch(fields.clone()).apply(&current.registration())?;
        let mut faults = new.check().err().unwrap_or_default();
        faults.check(new.node_id == id, "/node_id", || "cannot be changed".to_owned());
        faults.finish()?;
        let new = NewNode { ttl_seconds: new.ttl_seconds.or(Some(current.ttl_seconds)), ..new };
        let expected = current.revision;
        let edit = Edit::existing(&id, Some(who.actor()), move |row: &Node, now| match row.revision == expected {
            true => Ok(Verdict::Put(new.node(Some(row), now))),
            false => Err(WriteError::Changed),
        });
        match app.registry.edit(edit).await {
            Err(WriteError::Changed) if !conditions.guards_write() => feed::follow(&app.feed).await?,
            done => return changed(done),
        }
    }
    Err(ApiError::Conflict("it changes faster than this patch can be laid over it".to_owned()))
}

/// The answer to a write: the node with its tag.
fn changed(done: Reply<Node>) -> ApiResult<Response> {
    let node = done?.after.or_not_found("node")?;
    let tag = HeaderValue::from_str(&tag(node.revision)).map_err(|error| ApiError::Internal(error.into()))?;
    Ok(([(header::ETAG, tag)], Json(node)).into_response())
}

/// Deregisters a node, at once. Its services stay registered.
#[utoipa::path(delete, path = "/nodes/{node_id}", tag = "nodes", params(("node_id" = String, Path)), responses((status = 204), (status = 404, body = Problem), (status = 412, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn deregister(
    who: ServicesWrite,
    State(app): State<App>,
    Path(id): Path<NodeId>,
    conditions: Conditions,
) -> ApiResult<StatusCode> {
    must_be_free(&who)?;
    let edit = Edit::existing(&id, Some(who.actor()), move |row: &Node, _| {
        conditions.allow_write_of(&tag(row.revision)).map(|()| Verdict::Remove).map_err(|_| WriteError::Changed)
    });
    app.registry.edit(edit).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says that a node lives. 404 tells it to register again.
#[utoipa::path(post, path = "/nodes/{node_id}/heartbeat", tag = "nodes", params(("node_id" = String, Path)), responses((status = 204), (status = 404, description = "register again", body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn heartbeat(who: ServicesWrite, State(app): State<App>, Path(id): Path<NodeId>) -> ApiResult<StatusCode> {
    must_be_free(&who)?;
    app.registry.look_for::<Node>(std::slice::from_ref(&id)).await?;
    app.registry.beat::<Node>(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who lives.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NodeHeartbeats {
    /// Up to 10,000 ids.
    node_ids: Vec<NodeId>,
}

/// Who must register again.
#[derive(Serialize, ToSchema)]
struct UnknownNodes {
    /// Those that are not registered.
    unknown: Vec<NodeId>,
}

/// Says of many nodes that they live.
#[utoipa::path(post, path = "/nodes/heartbeats", tag = "nodes", request_body = NodeHeartbeats, responses((status = 200, body = UnknownNodes), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn heartbeats(
    who: ServicesWrite,
    State(app): State<App>,
    Body(beats): Body<NodeHeartbeats>,
) -> ApiResult<Json<UnknownNodes>> {
    must_be_free(&who)?;
    let count = beats.node_ids.len();
    if count > MOST_HEARTBEATS {
        return Err(Faults::one("/node_ids", format!("must be at most {MOST_HEARTBEATS}, are {count}")).into());
    }
    app.registry.look_for::<Node>(&beats.node_ids).await?;
    Ok(Json(UnknownNodes { unknown: app.registry.beat_all::<Node>(beats.node_ids).await? }))
}

/// Begins or ends maintenance: meanwhile nothing on it is offered.
#[utoipa::path(post, path = "/nodes/{node_id}/maintenance", tag = "nodes", params(("node_id" = String, Path)), request_body = SetMaintenance, responses((status = 200, body = Node), (status = 404, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn maintain(
    who: ServicesWrite,
    State(app): State<App>,
    Path(id): Path<NodeId>,
    Body(asked): Body<SetMaintenance>,
) -> ApiResult<Response> {
    must_be_free(&who)?;
    asked.check()?;
    let edit = Edit::existing(&id, Some(who.actor()), move |row: &Node, now| {
        let maintenance = types::maintenance(&asked, &row.maintenance, now);
        Ok(match *row.maintenance == maintenance {
            true => Verdict::Keep,
            false => Verdict::Put(row.clone().maintained(maintenance, now)),
        })
    });
    changed(app.registry.edit(edit).await)
}

/// Marks a node as draining: it keeps its services and is offered for none.
#[utoipa::path(post, path = "/nodes/{node_id}/drain", tag = "nodes", params(("node_id" = String, Path)), responses((status = 200, body = Node), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn drain(who: ServicesWrite, State(app): State<App>, Path(id): Path<NodeId>) -> ApiResult<Response> {
    must_be_free(&who)?;
    changed(app.registry.edit(draining(&id, &who, true)).await)
}

/// Ends the draining of a node.
#[utoipa::path(delete, path = "/nodes/{node_id}/drain", tag = "nodes", params(("node_id" = String, Path)), responses((status = 200, body = Node), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn undrain(who: ServicesWrite, State(app): State<App>, Path(id): Path<NodeId>) -> ApiResult<Response> {
    must_be_free(&who)?;
    changed(app.registry.edit(draining(&id, &who, false)).await)
}

fn draining(id: &NodeId, who: &Caller, draining: bool) -> Edit<Node> {
    Edit::existing(id, Some(who.actor()), move |row: &Node, now| {
        Ok(match row.draining == draining {
            true => Verdict::Keep,
            false => Verdict::Put(Node { draining, updated_at: now, ..row.clone() }),
        })
    })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OfNodeQuery {
    /// At most this many, 1 to 1000; 100 when absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Fields to sort by, as in the list of services.
    sort: Option<String>,
}

/// Lists the services on a node.
#[utoipa::path(get, path = "/nodes/{node_id}/services", tag = "nodes", params(("node_id" = String, Path), OfNodeQuery), responses((status = 200, body = Page<Service>), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("services:read"))))]
async fn services(
    _: ServicesRead,
    State(app): State<App>,
    Path(id): Path<NodeId>,
    query: Params<OfNodeQuery>,
) -> ApiResult<Json<Page<Service>>> {
    let Params(OfNodeQuery { limit, after, sort }) = query;
    let asked = Asked { limit, after: after.as_deref(), sort: sort.as_deref() };
    app.registry.look_for::<Node>(std::slice::from_ref(&id)).await?;
    let index = app.registry.core.index();
    index.nodes.get(&id).or_not_found("node")?;
    let filter = Filter { node_id: Some(id), ..Filter::default() };
    Ok(Json(page_of(filter.select(&index).into_iter(), &asked)?))
}
