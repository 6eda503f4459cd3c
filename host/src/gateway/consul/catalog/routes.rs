//! HTTP of Consul's catalogue, health and status.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderName,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::{
    AGENT_NODE,
    blocking::wait,
    checks::{is_passing, node_name, of_node, of_service},
    shown::{Here, fits, names},
    types::tags_and_meta,
};
use crate::{
    app::App,
    gateway::{
        fields::{Fields, malformed},
        routes::surface,
    },
    http::{auth::ServicesRead, error::ApiResult, request::REVISION},
    ids::Revision,
    registry::{Node, Seen, Watched},
};

surface! {
    get "/catalog/datacenters" "services:read" datacenters;
    get "/catalog/nodes" "services:read" nodes;
    get "/catalog/node/{node}" "services:read" node;
    get "/catalog/services" "services:read" services;
    get "/catalog/service/{service}" "services:read" service;
    get "/health/service/{service}" "services:read" health;
    get "/health/checks/{service}" "services:read" checks;
    get "/health/node/{node}" "services:read" node_checks;
    get "/health/state/{state}" "services:read" state;
    get "/status/leader" "services:read" leader;
    get "/status/peers" "services:read" peers;
}

/// An answer with the index to wait beyond. It is never 0, which would mean none.
fn indexed(revision: Revision, body: &impl Serialize) -> Response {
    let header = |name: &'static str, value: String| (HeaderName::from_static(name), value);
    let headers = [
        header("x-consul-index", revision.0.max(1).to_string()),
        header("x-consul-knownleader", "true".to_owned()),
        header("x-consul-lastcontact", "0".to_owned()),
    ];
    ([(REVISION, revision.0)], headers, Json(body)).into_response()
}

/// What narrows a list down.
struct Wanted {
    tags: Vec<String>,
    node_meta: Vec<(String, String)>,
    passing: bool,
}

impl Wanted {
    fn read(fields: &Fields) -> ApiResult<Self> {
        let meta = fields.all("node-meta").map(|pair| {
            let (key, value) = pair.split_once(':').unwrap_or((pair, ""));
            (key.to_owned(), value.to_owned())
        });
        let passing = match (fields.has("passing"), fields.get("passing")) {
            (false, _) => false,
            (true, None | Some("1" | "t" | "true" | "True" | "TRUE")) => true,
            (true, Some("0" | "f" | "false" | "False" | "FALSE")) => false,
            (true, Some(_)) => return Err(malformed("Invalid value for ?passing")),
        };
        let tags = fields.all("tag").filter(|tag| !tag.is_empty()).map(str::to_owned);
        Ok(Self { tags: tags.collect(), node_meta: meta.collect(), passing })
    }

    fn admits(&self, seen: &Seen) -> bool {
        fits(seen, &self.tags, &self.node_meta) && (!self.passing || is_passing(seen))
    }
}

async fn datacenters(_: ServicesRead, State(app): State<App>) -> Json<Value> {
    Json(json!([app.settings.gateway.datacenter]))
}

/// A node and the services on it.
#[derive(Default)]
struct On {
    node: Option<Arc<Node>>,
    services: Vec<Seen>,
}

impl On {
    fn shown(&self, name: &str, here: &Here) -> Value {
        here.node(name, self.node.as_deref(), self.services.first().map(|seen| &*seen.service))
    }

    fn has(&self, meta: &[(String, String)]) -> bool {
        let own = |key: &str| self.node.as_ref().and_then(|node| node.tags.get(key));
        meta.iter().all(|(key, value)| own(key) == Some(value))
    }

    fn checks(&self, name: &str) -> Vec<Value> {
        let mut checks = of_node(name, self.node.as_deref());
        checks.extend(self.services.iter().flat_map(|seen| of_service(seen, &tags_and_meta(&seen.service).0)));
        checks
    }
}

/// Every node that is registered or that a service says it is on.
fn by_node(app: &App) -> (BTreeMap<String, On>, Revision) {
    let (nodes, revision) = app.registry.all_nodes();
    let mut all: BTreeMap<String, On> = BTreeMap::from([(AGENT_NODE.to_owned(), On::default())]);
    for node in nodes {
        let name = node.node_id.0.clone();
        all.entry(name).or_default().node = Some(node);
    }
    for seen in app.registry.all_seen(Watched::All).0 {
        all.entry(node_name(&seen.service).to_owned()).or_default().services.push(seen);
    }
    (all, revision)
}

/// Lists nodes.
async fn nodes(_: ServicesRead, State(app): State<App>, fields: Fields) -> ApiResult<Response> {
    wait(&app, &fields, Watched::All).await?;
    let (wanted, here, (all, revision)) = (Wanted::read(&fields)?, Here::of(&app), by_node(&app));
    let shown = all.iter().filter(|(_, on)| on.has(&wanted.node_meta)).map(|(name, on)| on.shown(name, &here));
    Ok(indexed(revision, &shown.collect::<Vec<_>>()))
}

/// Shows a node and the services on it.
async fn node(
    _: ServicesRead,
    State(app): State<App>,
    Path(name): Path<String>,
    fields: Fields,
) -> ApiResult<Response> {
    wait(&app, &fields, Watched::All).await?;
    let (here, (mut all, revision)) = (Here::of(&app), by_node(&app));
    let Some(on) = all.remove(&name) else { return Ok(indexed(revision, &Value::Null)) };
    let shown = on.shown(&name, &here);
    let services = on.services.iter().map(|seen| (seen.service.service_id.0.clone(), here.service(&seen.service)));
    Ok(indexed(revision, &json!({"Node": shown, "Services": services.collect::<Map<_, _>>()})))
}

/// Lists names with their tags.
async fn services(_: ServicesRead, State(app): State<App>, fields: Fields) -> ApiResult<Response> {
    wait(&app, &fields, Watched::Catalog).await?;
    let (wanted, (mut all, revision)) = (Wanted::read(&fields)?, app.registry.all_seen(Watched::Catalog));
    all.retain(|seen| fits(seen, &[], &wanted.node_meta));
    Ok(indexed(revision, &names(&all)))
}

/// Lists the instances of a name, whatever their health.
async fn service(
    _: ServicesRead,
    State(app): State<App>,
    Path(name): Path<String>,
    fields: Fields,
) -> ApiResult<Response> {
    wait(&app, &fields, Watched::Name(&name)).await?;
    let (wanted, here, (all, revision)) = (Wanted::read(&fields)?, Here::of(&app), app.registry.seen(&name));
    let shown = all.iter().filter(|seen| fits(seen, &wanted.tags, &wanted.node_meta)).map(|seen| here.in_catalog(seen));
    Ok(indexed(revision, &shown.collect::<Vec<_>>()))
}

/// Lists the instances of a name with their checks; with `passing`, those that nothing speaks against.
async fn health(
    _: ServicesRead,
    State(app): State<App>,
    Path(name): Path<String>,
    fields: Fields,
) -> ApiResult<Response> {
    wait(&app, &fields, Watched::Name(&name)).await?;
    let (wanted, here, (all, revision)) = (Wanted::read(&fields)?, Here::of(&app), app.registry.seen(&name));
    let shown = all.iter().filter(|seen| wanted.admits(seen)).map(|seen| here.with_health(seen));
    Ok(indexed(revision, &shown.collect::<Vec<_>>()))
}

/// Lists the checks of the instances of a name.
async fn checks(
    _: ServicesRead,
    State(app): State<App>,
    Path(name): Path<String>,
    fields: Fields,
) -> ApiResult<Response> {
    wait(&app, &fields, Watched::Name(&name)).await?;
    let (all, revision) = app.registry.seen(&name);
    let checks = all.iter().flat_map(|seen| of_service(seen, &tags_and_meta(&seen.service).0));
    Ok(indexed(revision, &checks.collect::<Vec<_>>()))
}

/// Lists the checks of a node and of what is on it.
async fn node_checks(
    _: ServicesRead,
    State(app): State<App>,
    Path(name): Path<String>,
    fields: Fields,
) -> ApiResult<Response> {
    wait(&app, &fields, Watched::All).await?;
    let (mut all, revision) = by_node(&app);
    let checks = all.remove(&name).map(|on| on.checks(&name)).unwrap_or_default();
    Ok(indexed(revision, &checks))
}

/// Lists the checks that are in a state, or all.
async fn state(
    _: ServicesRead,
    State(app): State<App>,
    Path(asked): Path<String>,
    fields: Fields,
) -> ApiResult<Response> {
    if !["any", "passing", "warning", "critical"].contains(&asked.as_str()) {
        return Err(malformed(format!("Invalid check state: {asked:?}")));
    }
    wait(&app, &fields, Watched::All).await?;
    let (all, revision) = by_node(&app);
    let checks = all.iter().flat_map(|(name, on)| on.checks(name));
    let wanted = checks.filter(|check| asked == "any" || check["Status"] == asked.as_str());
    Ok(indexed(revision, &wanted.collect::<Vec<_>>()))
}

/// Names whom to ask: this server, which is as good as any other.
async fn leader(_: ServicesRead, State(app): State<App>) -> Json<Value> {
    let Here { address, port, .. } = Here::of(&app);
    Json(json!(format!("{address}:{port}")))
}

async fn peers(_: ServicesRead, State(app): State<App>) -> Json<Value> {
    let Here { address, port, .. } = Here::of(&app);
    Json(json!([format!("{address}:{port}")]))
}
