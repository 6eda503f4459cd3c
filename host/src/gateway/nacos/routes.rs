//! HTTP of Nacos' clients.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::{FromRequestParts, State},
    http::request::Parts,
    middleware,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::{
    auth, located,
    names::{InstanceKey, ServiceKey},
    types::{Beat, Host, List, Sent, beat_interval},
};
use crate::{
    app::App,
    gateway::{
        SignIn,
        fields::{Fields, malformed},
        routes::surface,
    },
    http::{
        auth::{ServicesRead, ServicesWrite},
        error::{ApiResult, OrNotFound as _, Shape, Shaped, Told},
    },
    registry::Watched,
};

/// A beat was taken.
const OK: u32 = 10_200;
/// A beat came from an instance that is not there: it is to be registered.
const NOT_FOUND: u32 = 20_404;
/// How soon a client asks again, in milliseconds.
const CACHE_MILLIS: u32 = 3000;

surface! {
    post "/ns/instance" "services:write" register;
    put "/ns/instance" "services:write" update;
    patch "/ns/instance" "services:write" update;
    delete "/ns/instance" "services:write" deregister;
    get "/ns/instance" "services:read" detail;
    put "/ns/instance/beat" "services:write" beat;
    get "/ns/instance/list" "services:read" list;
    get "/ns/service/list" "services:read" services;
    get "/ns/operator/metrics" "services:read" metrics;
    get "/console/namespaces" "services:read" namespaces;
}

pub fn routes(app: &App, sign_in: SignIn) -> Router<App> {
    let door = auth::Door::new(app, sign_in);
    handlers()
        .route_layer(middleware::from_fn_with_state(door.clone(), auth::admit))
        .merge(auth::routes(&door))
        .route_layer(middleware::from_fn(auth::fields))
        .route_layer(middleware::map_response(async |mut response: Response| {
            response.extensions_mut().insert(Shape(shaped));
            response
        }))
}

/// An error as Nacos words it: who may not is told so by its filter, in JSON; everything else is plain text.
fn shaped(told: &Told<'_>) -> Shaped {
    let status = match told.problem.status {
        401 => 403,
        422 => 400,
        status => status,
    };
    let body = match status {
        403 => {
            let body = json!({"timestamp": told.at, "status": 403, "error": "Forbidden", "message": told.summary(), "path": told.path});
            return Shaped { status, content_type: "application/json", body: body.to_string() };
        }
        400 => format!("caused: {};", told.summary()),
        _ => told.summary(),
    };
    Shaped { status, content_type: "text/plain; charset=utf-8", body }
}

impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let read = parts.extensions.remove::<Self>();
        Ok(read.unwrap_or_else(|| Self::read(parts.uri.query().unwrap_or_default())))
    }
}

/// Registers an instance, or puts it in the place of what was there.
async fn register(who: ServicesWrite, State(app): State<App>, fields: Fields) -> ApiResult<&'static str> {
    let key = InstanceKey::read(&fields)?;
    let (new, said) = Sent::read(&fields)?.service(&key, app.settings.registry.default_ttl_seconds)?;
    app.registry.register_as(new, said, &who).await?;
    Ok("ok")
}

/// Changes weight, metadata, or whether it is enabled; what is not said stays.
async fn update(who: ServicesWrite, State(app): State<App>, fields: Fields) -> ApiResult<&'static str> {
    let (key, sent) = (InstanceKey::read(&fields)?, Sent::read(&fields)?);
    let id = located(&app.registry, &key).unwrap_or_else(|| key.service_id());
    if app.registry.see(&id).await?.is_none() {
        return Err(malformed(format!("instance not exist: {}", key.instance_id())));
    }
    app.registry.amend(&id, &who, move |row| sent.clone().amended(row)).await?;
    Ok("ok")
}

/// Takes an instance away; that it was not there is no error.
async fn deregister(who: ServicesWrite, State(app): State<App>, fields: Fields) -> ApiResult<&'static str> {
    let key = InstanceKey::read(&fields)?;
    let id = located(&app.registry, &key).unwrap_or_else(|| key.service_id());
    app.registry.deregister(&id, &who).await?;
    Ok("ok")
}

/// Reads one instance.
async fn detail(_: ServicesRead, State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let key = InstanceKey::read(&fields)?;
    let id = located(&app.registry, &key).unwrap_or_else(|| key.service_id());
    let host = app.registry.see(&id).await?.and_then(|seen| Host::of(&seen, &key.service));
    let cluster = &key.cluster;
    let host = host.or_not_found(&format!("ip in cluster {cluster} of service {}", key.service.grouped()))?;
    Ok(Json(host.detail()))
}

/// Says that an instance lives. A full beat of one that is not there registers it; a light one is told to register.
async fn beat(who: ServicesWrite, State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let full = fields.get("beat").map(Beat::read).transpose()?;
    let key = match &full {
        Some(beat) => beat.key(&fields)?,
        None => InstanceKey::read(&fields)?,
    };
    let own = key.service_id();
    let id = if app.registry.exists(&own) { own } else { located(&app.registry, &key).unwrap_or(own) };
    let heard = app.registry.hear(&id, &who).await?;
    let interval = match (heard, full) {
        (Some(service), _) => beat_interval(&service),
        (None, None) => {
            return Ok(Json(json!({"code": NOT_FOUND, "clientBeatInterval": 5000, "lightBeatEnabled": true})));
        }
        (None, Some(beat)) => {
            let (new, said) = beat.sent().service(&key, app.settings.registry.default_ttl_seconds)?;
            let interval = new.ttl_seconds.unwrap_or(15) * 1000 / 3;
            app.registry.register_as(new, said, &who).await?;
            interval
        }
    };
    Ok(Json(json!({"code": OK, "clientBeatInterval": interval, "lightBeatEnabled": true})))
}

/// Lists the instances of a service that are enabled.
async fn list(_: ServicesRead, State(app): State<App>, fields: Fields) -> ApiResult<Response> {
    let key = ServiceKey::read(&fields)?;
    let clusters = fields.get("clusters").unwrap_or_default();
    let in_cluster = |host: &Host| host.is_in(clusters);
    let healthy_only = fields.flag("healthyOnly").unwrap_or(false);
    let (all, revision) = app.registry.seen(&key.registered());
    let hosts: Vec<Host> = all
        .iter()
        .filter_map(|seen| Host::of(seen, &key))
        .filter(|host| host.enabled && (host.healthy || !healthy_only) && in_cluster(host))
        .collect();
    let name = key.grouped();
    let list = List {
        name: &name,
        dom: &name,
        group_name: &key.group,
        clusters,
        cache_millis: CACHE_MILLIS,
        hosts,
        last_ref_time: app.clock.now().millis(),
        checksum: revision.to_string(),
        all_ips: false,
        reach_protection_threshold: app.registry.protection().active,
        valid: true,
    };
    Ok(Json(list).into_response())
}

/// Lists the names of a group, a page at a time.
async fn services(_: ServicesRead, State(app): State<App>, fields: Fields) -> ApiResult<Json<Value>> {
    let (page, size) =
        (fields.parsed::<usize>("pageNo")?.unwrap_or(1), fields.parsed::<usize>("pageSize")?.unwrap_or(20));
    let keys = app.registry.names().into_iter().map(|name| ServiceKey::of(&name));
    let doms: Vec<String> = keys.filter(|key| key.is_in(&fields)).map(|key| key.name).collect();
    let count = doms.len();
    let shown: Vec<String> = doms.into_iter().skip(page.saturating_sub(1).saturating_mul(size)).take(size).collect();
    Ok(Json(json!({"count": count, "doms": shown})))
}

/// Says that it serves, and how much.
async fn metrics(_: ServicesRead, State(app): State<App>) -> ApiResult<Json<Value>> {
    let (services, (instances, _)) = (app.registry.names().len(), app.registry.all_seen(Watched::All));
    let instances = instances.len();
    Ok(Json(json!({
        "status": "UP", "serviceCount": services, "instanceCount": instances,
        "responsibleServiceCount": services, "responsibleInstanceCount": instances,
    })))
}

/// Lists the namespaces that services are in.
async fn namespaces(_: ServicesRead, State(app): State<App>) -> Json<Value> {
    let mut counts = BTreeMap::from([(String::new(), 0_u64)]);
    for name in app.registry.names() {
        *counts.entry(ServiceKey::of(&name).namespace).or_default() += 1;
    }
    let one = |(id, services): (&String, &u64)| {
        let (shown, kind) = if id.is_empty() { ("public", 0) } else { (id.as_str(), 2) };
        json!({"namespace": id, "namespaceShowName": shown, "namespaceDesc": null, "quota": 0, "configCount": 0, "serviceCount": services, "type": kind})
    };
    Json(json!({"code": 200, "message": null, "data": counts.iter().map(one).collect::<Vec<_>>()}))
}
