//! HTTP of services.

use std::collections::BTreeMap;

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
        WriteError,
        index::Held,
        select::{self, Asked, Cell, Filter},
        types::{Health, SetMaintenance, segment, tag},
        writer::{Edit, Reply, Verdict},
    },
    NewService, Service, ServiceStatus, maintaining,
    patch::patched,
    register::{Batch, BatchAnswer, is_renewed, register_all, with_defaults},
    registering, speaking,
};
use crate::{
    app::App,
    feed,
    http::{
        auth::{ServicesRead, ServicesWrite},
        body::{Body, Patch},
        error::{ApiError, ApiResult, Faults, OrNotFound as _, Problem},
        etag::{self, Conditions},
        page::{Page, Params},
    },
    ids::{NodeId, ServiceId},
};

/// How many services one batch may register.
const MOST_IN_BATCH: usize = 1000;
/// How many heartbeats one request may bring.
pub(in super::super) const MOST_HEARTBEATS: usize = 10_000;
/// How often a patch is tried on what has changed under it.
const TRIES: usize = 3;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register, list))
        .routes(routes!(batch))
        .routes(routes!(read, patch, deregister))
        .routes(routes!(heartbeat))
        .routes(routes!(maintain))
        .routes(routes!(heartbeats))
}

/// Registers a service, or renews it; a renewal counts as a heartbeat.
#[utoipa::path(post, path = "/services", tag = "services", request_body = NewService, responses((status = 201, description = "it is new", body = Service), (status = 200, description = "it was known", body = Service), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn register(who: ServicesWrite, State(app): State<App>, Body(new): Body<NewService>) -> ApiResult<Response> {
    new.check()?;
    let new = with_defaults(&app, new);
    who.must_speak_for(&new.service_id, &new.service_name)?;
    let id = new.service_id.clone();
    if is_renewed(&app.registry, &new) {
        return known(&app, &id);
    }
    let done = app.registry.edit(registering(new, &who)).await?;
    app.registry.registered(&done, &id).await?;
    match (done.before, done.after) {
        (None, Some(service)) => etag::created(&format!("/api/v1/services/{}", segment(id.as_str())), service),
        _ => known(&app, &id),
    }
}

fn known(app: &App, id: &ServiceId) -> ApiResult<Response> {
    let service = app.registry.shown::<Service>(id).or_not_found("service")?;
    Ok(Json(service).into_response())
}

/// Registers or renews many services, each on its own, in one commit.
#[utoipa::path(post, path = "/services/batch", tag = "services", request_body = Batch, responses((status = 200, body = BatchAnswer), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn batch(who: ServicesWrite, State(app): State<App>, Body(batch): Body<Batch>) -> ApiResult<Json<BatchAnswer>> {
    let count = batch.services.len();
    if !(1..=MOST_IN_BATCH).contains(&count) {
        return Err(Faults::one("/services", format!("must be 1 to {MOST_IN_BATCH}, are {count}")).into());
    }
    Ok(Json(BatchAnswer { items: register_all(&app, &who, &batch).await? }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Of this name.
    service_name: Option<String>,
    /// Of this type.
    service_type: Option<String>,
    /// In this cluster.
    cluster_id: Option<String>,
    /// On this node.
    node_id: Option<NodeId>,
    /// In this zone: its tag `zone` says so, or its node's.
    zone: Option<String>,
    /// In this status.
    status: Option<ServiceStatus>,
    /// Of this health.
    health_status: Option<Health>,
    /// With this tag, as `key:value`; several separated by commas.
    tag: Option<String>,
    /// At most this many, 1 to 1000; 100 when absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Fields to sort by, separated by commas, `-` before one that falls: service_name, service_type, status,
    /// health_status, weight, registered_at, updated_at.
    sort: Option<String>,
}

const SORTABLE: &[&str] =
    &["service_id", "service_name", "service_type", "status", "health_status", "weight", "registered_at", "updated_at"];

fn cell(service: &Service, field: &str) -> Cell {
    match field {
        "service_name" => service.service_name.as_str().into(),
        "service_type" => service.service_type.as_str().into(),
        "status" => service.status.as_str().into(),
        "health_status" => service.health_status.as_str().into(),
        "weight" => Cell::Number(service.weight),
        "registered_at" => Cell::Number(service.registered_at.millis()),
        "updated_at" => Cell::Number(service.updated_at.millis()),
        _ => service.service_id.as_str().into(),
    }
}

/// Lists services.
#[utoipa::path(get, path = "/services", tag = "services", params(ListQuery), responses((status = 200, body = Page<Service>), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:read"))))]
async fn list(_: ServicesRead, State(app): State<App>, query: Params<ListQuery>) -> ApiResult<Json<Page<Service>>> {
    let Params(query) = query;
    let filter = Filter {
        service_name: query.service_name,
        service_type: query.service_type,
        cluster_id: query.cluster_id,
        node_id: query.node_id,
        zone: query.zone,
        status: query.status,
        health_status: query.health_status,
        tags: select::tags(query.tag.as_deref())?,
        offered: false,
    };
    let asked = Asked { limit: query.limit, after: query.after.as_deref(), sort: query.sort.as_deref() };
    let index = app.registry.core.index();
    let found = filter.select(&index);
    Ok(Json(select::page(found.into_iter(), &asked, SORTABLE, cell)?))
}

/// Reads a service. A heartbeat alone does not change its entity tag.
#[utoipa::path(get, path = "/services/{service_id}", tag = "services", params(("service_id" = String, Path)), responses((status = 200, body = Service), (status = 304, description = "it is as you know it"), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("services:read"))))]
async fn read(
    _: ServicesRead,
    State(app): State<App>,
    Path(id): Path<ServiceId>,
    conditions: Conditions,
) -> ApiResult<Response> {
    app.registry.find::<Service>(&id).await?;
    let service = app.registry.shown::<Service>(&id).or_not_found("service")?;
    conditions.answer_as(&tag(service.revision), &service)
}

/// Changes what was registered, or what is said of its state (`status`, `health_status`, `health_reason`).
#[utoipa::path(patch, path = "/services/{service_id}", tag = "services", params(("service_id" = String, Path)), request_body(content = NewService, content_type = "application/merge-patch+json"), responses((status = 200, body = Service), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn patch(
    who: ServicesWrite,
    State(app): State<App>,
    Path(id): Path<ServiceId>,
    conditions: Conditions,
    Patch(fields): Patch,
) -> ApiResult<Response> {
    for _ in 0..TRIES {
        let current = app.registry.find_for_write::<Service>(&id, &conditions).await?;
        who.must_speak_for(&id, &current.service_name)?;
        let (new, said) = patched(&current, fields.clone())?;
        who.must_speak_for(&id, &new.service_name)?;
        let expected = current.revision;
        let edit = Edit::existing(&id, Some(who.actor()), move |row: &Service, now| {
            if row.revision != expected {
                return Err(WriteError::Changed);
            }
            let after = said.clone().of(new.service(Some(row), &row.origin, now));
            // What changes nothing is told to nobody.
            let same = Service { updated_at: row.updated_at, ..after.clone() } == *row;
            Ok(if same { Verdict::Keep } else { Verdict::Put(after) })
        });
        match app.registry.edit(edit).await {
            Err(WriteError::Changed) if !conditions.guards_write() => feed::follow(&app.feed).await?,
            done => return changed(done),
        }
    }
    Err(ApiError::Conflict("it changes faster than this patch can be laid over it".to_owned()))
}

/// The answer to a write: the service with its tag.
fn changed(done: Reply<Service>) -> ApiResult<Response> {
    let service = done?.after.or_not_found("service")?;
    let tag = HeaderValue::from_str(&tag(service.revision)).map_err(|error| ApiError::Internal(error.into()))?;
    Ok(([(header::ETAG, tag)], Json(service)).into_response())
}

/// Deregisters a service, at once.
#[utoipa::path(delete, path = "/services/{service_id}", tag = "services", params(("service_id" = String, Path)), responses((status = 204), (status = 404, body = Problem), (status = 412, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn deregister(
    who: ServicesWrite,
    State(app): State<App>,
    Path(id): Path<ServiceId>,
    conditions: Conditions,
) -> ApiResult<StatusCode> {
    let edit = Edit::existing(&id, Some(who.actor()), move |row: &Service, _| {
        conditions.allow_write_of(&tag(row.revision)).map(|()| Verdict::Remove).map_err(|_| WriteError::Changed)
    });
    app.registry.edit(speaking(&who, edit)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HeartbeatQuery {
    /// How many connections it has, for those who pick the least busy.
    connections: Option<u32>,
}

/// Says that a service lives. 404 tells it to register again.
#[utoipa::path(post, path = "/services/{service_id}/heartbeat", tag = "services", params(("service_id" = String, Path), HeartbeatQuery), responses((status = 204), (status = 404, description = "register again", body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn heartbeat(
    who: ServicesWrite,
    State(app): State<App>,
    Path(id): Path<ServiceId>,
    query: Params<HeartbeatQuery>,
) -> ApiResult<StatusCode> {
    let Params(HeartbeatQuery { connections }) = query;
    let known = app.registry.find::<Service>(&id).await?.or_not_found("service")?;
    who.must_speak_for(&id, &known.service_name)?;
    app.registry.beat::<Service>(&id).await?;
    if let Some(connections) = connections {
        app.registry.note_connections(&id, connections);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Who lives.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Heartbeats {
    /// Up to 10,000 ids.
    service_ids: Vec<ServiceId>,
    /// How many connections each has, of those that say so.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, u32>)]
    connections: BTreeMap<ServiceId, u32>,
}

/// Who must register again.
#[derive(Serialize, ToSchema)]
struct UnknownServices {
    /// Those that are not registered.
    unknown: Vec<ServiceId>,
}

/// Says of many services that they live.
#[utoipa::path(post, path = "/heartbeats", tag = "services", request_body = Heartbeats, responses((status = 200, body = UnknownServices), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn heartbeats(
    who: ServicesWrite,
    State(app): State<App>,
    Body(beats): Body<Heartbeats>,
) -> ApiResult<Json<UnknownServices>> {
    let count = beats.service_ids.len();
    if count > MOST_HEARTBEATS {
        return Err(Faults::one("/service_ids", format!("must be at most {MOST_HEARTBEATS}, are {count}")).into());
    }
    app.registry.look_for::<Service>(&beats.service_ids).await?;
    for id in beats.service_ids.iter().chain(beats.connections.keys()) {
        if let Some(known) = app.registry.service(id) {
            who.must_speak_for(id, &known.service_name)?;
        }
    }
    let Heartbeats { service_ids, connections } = beats;
    let unknown = app.registry.beat_all::<Service>(service_ids).await?;
    connections.iter().for_each(|(id, connections)| app.registry.note_connections(id, *connections));
    Ok(Json(UnknownServices { unknown }))
}

/// Begins or ends maintenance: meanwhile it is offered to nobody, and its true state is shown.
#[utoipa::path(post, path = "/services/{service_id}/maintenance", tag = "services", params(("service_id" = String, Path)), request_body = SetMaintenance, responses((status = 200, body = Service), (status = 404, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn maintain(
    who: ServicesWrite,
    State(app): State<App>,
    Path(id): Path<ServiceId>,
    Body(asked): Body<SetMaintenance>,
) -> ApiResult<Response> {
    asked.check()?;
    changed(app.registry.edit(maintaining(&id, asked, &who)).await)
}

/// What is held of the services on a node, for its page.
pub(in super::super) fn page_of<'m>(
    held: impl Iterator<Item = &'m Held<Service>>,
    asked: &Asked<'_>,
) -> ApiResult<Page<Service>> {
    select::page(held, asked, SORTABLE, cell)
}
