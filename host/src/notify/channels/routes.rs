//! HTTP of channels. A path takes a channel's id or its name.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    queries,
    types::{CHANNELS, Channel, ChannelId, ChannelSpec},
};
use crate::{
    app::App,
    db::Tx,
    feed::Changes,
    http::{
        auth::{AlertsRead, AlertsWrite},
        body::{Body, Patch},
        error::{ApiError, ApiResult, OrNotFound as _, Problem},
        etag::{self, Conditions},
        page::{Page, PageQuery, Params},
    },
    notify::{self, deliveries, routing},
};

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_channel, list_channels))
        .routes(routes!(get_channel, put_channel, patch_channel, delete_channel))
        .routes(routes!(test_channel))
}

/// Makes a channel.
#[utoipa::path(post, path = "/channels", tag = "alerts", request_body = ChannelSpec, responses((status = 201, body = Channel), (status = 409, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn create_channel(
    who: AlertsWrite,
    State(app): State<App>,
    Body(spec): Body<ChannelSpec>,
) -> ApiResult<Response> {
    notify::check_channel(&app, &spec).await?;
    let now = app.clock.now();
    let channel = Channel { channel_id: ChannelId(app.ids.next()), spec, created_at: now, updated_at: now };
    let mut tx = app.db.write().await?;
    queries::insert(&mut tx, &channel).await?;
    let mut changes = Changes::by(who.actor());
    changes.put(CHANNELS, channel.channel_id.0.clone(), None, &channel);
    app.feed.commit(tx, changes).await?;
    etag::created(&format!("/api/v1/channels/{}", channel.channel_id), channel)
}

/// Lists channels, by name.
#[utoipa::path(get, path = "/channels", tag = "alerts", params(PageQuery), responses((status = 200, body = Page<Channel>), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:read"))))]
async fn list_channels(
    _: AlertsRead,
    State(app): State<App>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Page<Channel>>> {
    notify::page_by(app.notify.channels(), &page, |channel| channel.spec.name.clone()).map(Json)
}

/// Reads a channel.
#[utoipa::path(get, path = "/channels/{id}", tag = "alerts", params(("id" = String, Path, description = "id or name")), responses((status = 200, body = Channel), (status = 304), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("alerts:read"))))]
async fn get_channel(
    _: AlertsRead,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
) -> ApiResult<Response> {
    conditions.answer(&*app.notify.channel(&id).or_not_found("channel")?)
}

/// Replaces what is said of a channel.
#[utoipa::path(put, path = "/channels/{id}", tag = "alerts", params(("id" = String, Path, description = "id or name")), request_body = ChannelSpec, responses((status = 200, body = Channel), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn put_channel(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
    Body(spec): Body<ChannelSpec>,
) -> ApiResult<Json<Channel>> {
    replace(&app, &who, &id, &conditions, |_| Ok(spec.clone())).await
}

/// Changes what the patch names.
#[utoipa::path(patch, path = "/channels/{id}", tag = "alerts", params(("id" = String, Path, description = "id or name")), request_body(content = Object, content_type = "application/merge-patch+json"), responses((status = 200, body = Channel), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn patch_channel(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
    patch: Patch,
) -> ApiResult<Json<Channel>> {
    replace(&app, &who, &id, &conditions, |current| patch.apply(current)).await
}

async fn replace(
    app: &App,
    who: &AlertsWrite,
    id: &str,
    conditions: &Conditions,
    change: impl Fn(&ChannelSpec) -> ApiResult<ChannelSpec>,
) -> ApiResult<Json<Channel>> {
    let mut before = queries::find(&mut app.db.read().await?, id).await?.or_not_found("channel")?;
    loop {
        conditions.allow_write(&before)?;
        let spec = change(&before.spec)?;
        // No transaction waits for a plugin: what it was asked about may have changed when it has answered.
        notify::check_channel(app, &spec).await?;
        let mut tx = app.db.write().await?;
        let stored = queries::lock(&mut tx, before.channel_id.as_str()).await?.or_not_found("channel")?;
        if stored != before {
            before = stored;
            continue;
        }
        if spec.name != before.spec.name {
            refuse_if_used(&mut tx, &before).await?;
        }
        let after = Channel { spec, updated_at: app.clock.now(), ..before.clone() };
        queries::update(&mut tx, &after).await?;
        let mut changes = Changes::by(who.actor());
        changes.put(CHANNELS, after.channel_id.0.clone(), Some(&before), &after);
        app.feed.commit(tx, changes).await?;
        return Ok(Json(after));
    }
}

/// Deletes a channel that no route names.
#[utoipa::path(delete, path = "/channels/{id}", tag = "alerts", params(("id" = String, Path, description = "id or name")), responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn delete_channel(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
) -> ApiResult<StatusCode> {
    let mut tx = app.db.write().await?;
    let channel = queries::lock(&mut tx, &id).await?.or_not_found("channel")?;
    conditions.allow_write(&channel)?;
    refuse_if_used(&mut tx, &channel).await?;
    queries::delete(&mut tx, &channel.channel_id).await?;
    let mut changes = Changes::by(who.actor());
    changes.delete(CHANNELS, channel.channel_id.0.clone(), &channel);
    app.feed.commit(tx, changes).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// 409 if a route names the channel. Who writes a route holds its channels, so none begins to before the transaction ends.
async fn refuse_if_used(tx: &mut Tx, channel: &Channel) -> ApiResult<()> {
    let name = &channel.spec.name;
    match routing::all(tx).await?.iter().find(|route| route.spec.channels.contains(name)) {
        Some(route) => Err(ApiError::Conflict(format!("route {:?} names the channel {name:?}", route.spec.name))),
        None => Ok(()),
    }
}

/// Delivers a test notification now, and answers with what came of it: no retries, whether the channel is enabled or not.
#[utoipa::path(post, path = "/channels/{id}/test", tag = "alerts", params(("id" = String, Path, description = "id or name")), responses((status = 200, body = deliveries::Delivery), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn test_channel(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<String>,
) -> ApiResult<Json<deliveries::Delivery>> {
    let channel = app.notify.channel(&id).or_not_found("channel")?;
    Ok(Json(deliveries::test(&app, &channel, &who.username).await?))
}
