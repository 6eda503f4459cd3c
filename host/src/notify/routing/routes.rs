//! HTTP of routes. A path takes a route's id or its name.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    queries,
    types::{ROUTES, Route, RouteId, RouteSpec},
};
use crate::{
    app::App,
    db::Tx,
    feed::Changes,
    http::{
        auth::{AlertsRead, AlertsWrite},
        body::{Body, Patch},
        error::{ApiResult, OrNotFound as _, Problem},
        etag::{self, Conditions},
        page::{Page, PageQuery, Params},
    },
    notify::{self, channels},
};

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_route, list_routes)).routes(routes!(
        get_route,
        put_route,
        patch_route,
        delete_route
    ))
}

/// Makes a route.
#[utoipa::path(post, path = "/routes", tag = "alerts", request_body = RouteSpec, responses((status = 201, body = Route), (status = 409, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn create_route(who: AlertsWrite, State(app): State<App>, Body(spec): Body<RouteSpec>) -> ApiResult<Response> {
    let now = app.clock.now();
    let route = Route { route_id: RouteId(app.ids.next()), spec, created_at: now, updated_at: now };
    let mut tx = app.db.write().await?;
    check(&mut tx, &route.spec).await?;
    queries::put(&mut tx, &route).await?;
    let mut changes = Changes::by(who.actor());
    changes.put(ROUTES, route.route_id.0.clone(), None, &route);
    app.feed.commit(tx, changes).await?;
    etag::created(&format!("/api/v1/routes/{}", route.route_id), route)
}

/// Lists routes, in the order in which they are tried.
#[utoipa::path(get, path = "/routes", tag = "alerts", params(PageQuery), responses((status = 200, body = Page<Route>), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:read"))))]
async fn list_routes(
    _: AlertsRead,
    State(app): State<App>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Page<Route>>> {
    notify::page_by(app.notify.routes(), &page, |route| (route.spec.position, route.spec.name.clone())).map(Json)
}

/// Reads a route.
#[utoipa::path(get, path = "/routes/{id}", tag = "alerts", params(("id" = String, Path, description = "id or name")), responses((status = 200, body = Route), (status = 304), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("alerts:read"))))]
async fn get_route(
    _: AlertsRead,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
) -> ApiResult<Response> {
    conditions.answer(&*app.notify.route(&id).or_not_found("route")?)
}

/// Replaces what is said of a route.
#[utoipa::path(put, path = "/routes/{id}", tag = "alerts", params(("id" = String, Path, description = "id or name")), request_body = RouteSpec, responses((status = 200, body = Route), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn put_route(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
    Body(spec): Body<RouteSpec>,
) -> ApiResult<Json<Route>> {
    replace(&app, &who, &id, &conditions, |_| Ok(spec)).await
}

/// Changes what the patch names.
#[utoipa::path(patch, path = "/routes/{id}", tag = "alerts", params(("id" = String, Path, description = "id or name")), request_body(content = Object, content_type = "application/merge-patch+json"), responses((status = 200, body = Route), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn patch_route(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
    patch: Patch,
) -> ApiResult<Json<Route>> {
    replace(&app, &who, &id, &conditions, |current| patch.apply(current)).await
}

async fn replace(
    app: &App,
    who: &AlertsWrite,
    id: &str,
    conditions: &Conditions,
    change: impl FnOnce(&RouteSpec) -> ApiResult<RouteSpec>,
) -> ApiResult<Json<Route>> {
    let mut tx = app.db.write().await?;
    let before = queries::lock(&mut tx, id).await?.or_not_found("route")?;
    conditions.allow_write(&before)?;
    let spec = change(&before.spec)?;
    check(&mut tx, &spec).await?;
    let after = Route { spec, updated_at: app.clock.now(), ..before.clone() };
    queries::put(&mut tx, &after).await?;
    let mut changes = Changes::by(who.actor());
    changes.put(ROUTES, after.route_id.0.clone(), Some(&before), &after);
    app.feed.commit(tx, changes).await?;
    Ok(Json(after))
}

/// Deletes a route; what its groups have not told yet is told no more.
#[utoipa::path(delete, path = "/routes/{id}", tag = "alerts", params(("id" = String, Path, description = "id or name")), responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn delete_route(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
) -> ApiResult<StatusCode> {
    let mut tx = app.db.write().await?;
    let route = queries::lock(&mut tx, &id).await?.or_not_found("route")?;
    conditions.allow_write(&route)?;
    queries::delete(&mut tx, &route.route_id).await?;
    let mut changes = Changes::by(who.actor());
    changes.delete(ROUTES, route.route_id.0.clone(), &route);
    app.feed.commit(tx, changes).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// 422 with everything that is wrong; the channels that it names stay until the transaction ends.
async fn check(tx: &mut Tx, spec: &RouteSpec) -> ApiResult<()> {
    let known = channels::hold(tx, &spec.channels).await?;
    Ok(spec.faults(|name| known.iter().any(|known| known == name)).finish()?)
}
