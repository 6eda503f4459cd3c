//! HTTP of Consul's agent.

use axum::{
    Json,
    extract::{FromRequest, Path, Request, State},
};
use serde_json::{Map, Value, json};

use super::super::{
    AGENT_NODE,
    checks::{of_service, service_of},
    shown::Here,
    types::{Names, registration, tags_and_meta},
};
use crate::{
    app::App,
    gateway::{
        fields::{Fields, malformed},
        routes::surface,
    },
    http::{
        auth::{Caller, ServicesRead, ServicesWrite},
        body,
        error::{ApiError, ApiResult, OrNotFound as _},
    },
    ids::ServiceId,
    registry::{Health, Said, SetMaintenance, Watched},
};

surface! {
    put "/agent/service/register" "services:write" register;
    put "/agent/service/deregister/{service_id}" "services:write" deregister;
    put "/agent/service/maintenance/{service_id}" "services:write" maintain;
    put "/agent/check/pass/{check_id}" "services:write" pass;
    put "/agent/check/warn/{check_id}" "services:write" warn;
    put "/agent/check/fail/{check_id}" "services:write" fail;
    put "/agent/check/update/{check_id}" "services:write" update;
    get "/agent/services" "services:read" services;
    get "/agent/service/{service_id}" "services:read" service;
    get "/agent/checks" "services:read" checks;
    get "/agent/self" "services:read" own;
}

/// How much of what a check says is kept.
const MOST_OUTPUT: usize = 500;

/// A JSON body, whatever its client says that it is.
struct Sent(Value);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = body::whole(request, state).await?;
        let read =
            serde_json::from_slice(&bytes).map_err(|error| malformed(format!("Request decode failed: {error}")))?;
        Ok(Self(read))
    }
}

/// Registers a service, or puts it in the place of what had its id.
async fn register(who: ServicesWrite, State(app): State<App>, Sent(body): Sent) -> ApiResult<()> {
    let (new, said) = registration(&body, who.source)?;
    app.registry.register_as(new, said, &who).await
}

/// Deregisters a service.
async fn deregister(who: ServicesWrite, State(app): State<App>, Path(id): Path<ServiceId>) -> ApiResult<()> {
    app.registry.deregister(&id, &who).await?.then_some(()).ok_or_else(|| unknown(&id))
}

fn unknown(id: &ServiceId) -> ApiError {
    ApiError::NotFound(format!(
        "service ID {:?}. Ensure that the service ID is passed, not the service name.",
        id.as_str()
    ))
}

/// Begins or ends the maintenance of a service.
async fn maintain(
    who: ServicesWrite,
    State(app): State<App>,
    Path(id): Path<ServiceId>,
    fields: Fields,
) -> ApiResult<()> {
    let enabled = fields.flag("enable").ok_or_else(|| malformed("Missing value for enable"))?;
    let asked = SetMaintenance { enabled, reason: fields.get("reason").map(str::to_owned) };
    app.registry.maintain(&id, asked, &who).await?.then_some(()).ok_or_else(|| unknown(&id))
}

async fn pass(who: ServicesWrite, State(app): State<App>, Path(id): Path<String>, fields: Fields) -> ApiResult<()> {
    told(&app, &who, &id, Health::Healthy, fields.get("note")).await
}

async fn warn(who: ServicesWrite, State(app): State<App>, Path(id): Path<String>, fields: Fields) -> ApiResult<()> {
    told(&app, &who, &id, Health::Warning, fields.get("note")).await
}

async fn fail(who: ServicesWrite, State(app): State<App>, Path(id): Path<String>, fields: Fields) -> ApiResult<()> {
    told(&app, &who, &id, Health::Critical, fields.get("note")).await
}

/// Takes the state of a check from a body: `Status` and `Output`.
async fn update(who: ServicesWrite, State(app): State<App>, Path(id): Path<String>, Sent(body): Sent) -> ApiResult<()> {
    let fields = Names::of(&body).ok_or_else(|| malformed("Request decode failed: not an object"))?;
    let health = match fields.text("status").as_deref() {
        Some("passing") => Health::Healthy,
        Some("warning") => Health::Warning,
        Some("critical") => Health::Critical,
        other => return Err(malformed(format!("Invalid check status: {:?}", other.unwrap_or_default()))),
    };
    told(&app, &who, &id, health, fields.text("output").as_deref()).await
}

/// What a check came to is what its service says of itself: a report, which counts at once.
async fn told(app: &App, who: &Caller, check: &str, health: Health, output: Option<&str>) -> ApiResult<()> {
    let absent =
        || ApiError::NotFound(format!("check ID {check:?}. Ensure that the check ID is passed, not the check name."));
    let id = service_of(&app.registry, check).await?.ok_or_else(absent)?;
    let output = output.map(|output| output.replace('\0', " ").chars().take(MOST_OUTPUT).collect());
    app.registry.report(&id, Said::reporting(health, output), who).await
}

/// Shows every service, by id.
async fn services(_: ServicesRead, State(app): State<App>) -> Json<Value> {
    let (here, (all, _)) = (Here::of(&app), app.registry.all_seen(Watched::All));
    let one = |seen: &crate::registry::Seen| (seen.service.service_id.0.clone(), here.service(&seen.service));
    Json(Value::Object(all.iter().map(one).collect()))
}

/// Shows one service.
async fn service(_: ServicesRead, State(app): State<App>, Path(id): Path<ServiceId>) -> ApiResult<Json<Value>> {
    let seen = app.registry.see(&id).await?.or_not_found(&format!("service ID {:?}", id.as_str()))?;
    Ok(Json(Here::of(&app).service(&seen.service)))
}

/// Shows every check of a service, by id.
async fn checks(_: ServicesRead, State(app): State<App>) -> Json<Value> {
    let (all, _) = app.registry.all_seen(Watched::All);
    let checks = all.iter().flat_map(|seen| of_service(seen, &tags_and_meta(&seen.service).0));
    let by_id = checks.map(|check| (check["CheckID"].as_str().unwrap_or_default().to_owned(), check));
    Json(Value::Object(by_id.collect::<Map<_, _>>()))
}

/// Says what this agent is.
async fn own(_: ServicesRead, State(app): State<App>) -> Json<Value> {
    let Here { datacenter, address, port, id } = Here::of(&app);
    Json(json!({
        "Config": {"Datacenter": datacenter, "PrimaryDatacenter": datacenter, "NodeName": AGENT_NODE, "NodeID": id, "Server": true, "Version": env!("CARGO_PKG_VERSION")},
        "Member": {"Name": AGENT_NODE, "Addr": address, "Port": port, "Tags": {"dc": datacenter, "role": "consul"}, "Status": 1},
        "Meta": {},
    }))
}
