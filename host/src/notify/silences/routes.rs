//! HTTP of silences.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    queries,
    types::{SILENCES, Silence, SilenceId, SilenceSpec},
};
use crate::{
    app::App,
    feed::Changes,
    http::{
        auth::{AlertsRead, AlertsWrite},
        body::{Body, Patch},
        error::{ApiResult, OrNotFound as _, Problem},
        etag::{self, Conditions},
        page::{Page, PageQuery, Params},
    },
    notify,
};

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_silence, list_silences)).routes(routes!(
        get_silence,
        put_silence,
        patch_silence,
        delete_silence
    ))
}

/// Makes a silence.
#[utoipa::path(post, path = "/silences", tag = "alerts", request_body = SilenceSpec, responses((status = 201, body = Silence), (status = 409, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn create_silence(
    who: AlertsWrite,
    State(app): State<App>,
    Body(spec): Body<SilenceSpec>,
) -> ApiResult<Response> {
    spec.faults().finish()?;
    let now = app.clock.now();
    let silence = Silence {
        silence_id: SilenceId(app.ids.next()),
        spec,
        created_by: who.username.clone(),
        created_at: now,
        updated_at: now,
    };
    let mut tx = app.db.write().await?;
    queries::put(&mut tx, &silence).await?;
    let mut changes = Changes::by(who.actor());
    changes.put(SILENCES, silence.silence_id.0.clone(), None, &silence);
    app.feed.commit(tx, changes).await?;
    etag::created(&format!("/api/v1/silences/{}", silence.silence_id), silence)
}

/// Lists silences, those that begin first first.
#[utoipa::path(get, path = "/silences", tag = "alerts", params(PageQuery), responses((status = 200, body = Page<Silence>), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:read"))))]
async fn list_silences(
    _: AlertsRead,
    State(app): State<App>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Page<Silence>>> {
    notify::page_by(app.notify.silences(), &page, |silence| {
        (silence.spec.starts_at.millis(), silence.silence_id.0.clone())
    })
    .map(Json)
}

/// Reads a silence.
#[utoipa::path(get, path = "/silences/{id}", tag = "alerts", params(("id" = String, Path)), responses((status = 200, body = Silence), (status = 304), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("alerts:read"))))]
async fn get_silence(
    _: AlertsRead,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
) -> ApiResult<Response> {
    conditions.answer(&*app.notify.silence(&id).or_not_found("silence")?)
}

/// Replaces what is said of a silence.
#[utoipa::path(put, path = "/silences/{id}", tag = "alerts", params(("id" = String, Path)), request_body = SilenceSpec, responses((status = 200, body = Silence), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn put_silence(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
    Body(spec): Body<SilenceSpec>,
) -> ApiResult<Json<Silence>> {
    replace(&app, &who, &id, &conditions, |_| Ok(spec)).await
}

/// Changes what the patch names.
#[utoipa::path(patch, path = "/silences/{id}", tag = "alerts", params(("id" = String, Path)), request_body(content = Object, content_type = "application/merge-patch+json"), responses((status = 200, body = Silence), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn patch_silence(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
    patch: Patch,
) -> ApiResult<Json<Silence>> {
    replace(&app, &who, &id, &conditions, |current| patch.apply(current)).await
}

async fn replace(
    app: &App,
    who: &AlertsWrite,
    id: &str,
    conditions: &Conditions,
    change: impl FnOnce(&SilenceSpec) -> ApiResult<SilenceSpec>,
) -> ApiResult<Json<Silence>> {
    let mut tx = app.db.write().await?;
    let before = queries::lock(&mut tx, id).await?.or_not_found("silence")?;
    conditions.allow_write(&before)?;
    let spec = change(&before.spec)?;
    spec.faults().finish()?;
    let after = Silence { spec, updated_at: app.clock.now(), ..before.clone() };
    queries::put(&mut tx, &after).await?;
    let mut changes = Changes::by(who.actor());
    changes.put(SILENCES, after.silence_id.0.clone(), Some(&before), &after);
    app.feed.commit(tx, changes).await?;
    Ok(Json(after))
}

/// Deletes a silence: it ends at once.
#[utoipa::path(delete, path = "/silences/{id}", tag = "alerts", params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn delete_silence(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
) -> ApiResult<StatusCode> {
    let mut tx = app.db.write().await?;
    let silence = queries::lock(&mut tx, &id).await?.or_not_found("silence")?;
    conditions.allow_write(&silence)?;
    queries::delete(&mut tx, &silence.silence_id).await?;
    let mut changes = Changes::by(who.actor());
    changes.delete(SILENCES, silence.silence_id.0.clone(), &silence);
    app.feed.commit(tx, changes).await?;
    Ok(StatusCode::NO_CONTENT)
}
