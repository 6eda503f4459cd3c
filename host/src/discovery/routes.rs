//! HTTP of discovery sources.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    queries,
    types::{Outcome, SOURCES, Source, SourceBody, SourceId},
    worker::{self, NoRun, Why},
};
use crate::{
    app::App,
    db,
    feed::Changes,
    http::{
        auth::{Caller, ServicesRead, ServicesWrite},
        body::{Body, Patch},
        error::{ApiError, ApiResult, OrNotFound as _, Problem},
        etag::{Conditions, created},
        page::{self, Page, PageQuery, Params},
    },
    plugins::Kind,
};

/// The routes of discovery sources.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_sources, create_source))
        .routes(routes!(read_source, replace_source, patch_source, delete_source))
        .routes(routes!(run_source))
}

/// Lists discovery sources.
#[utoipa::path(get, path = "/discovery-sources", tag = "discovery", params(PageQuery), responses((status = 200, body = Page<Source>)), extensions(("x-looma-access" = json!("services:read"))))]
async fn list_sources(
    _: ServicesRead,
    State(app): State<App>,
    Params(query): Params<PageQuery>,
) -> ApiResult<Json<Page<Source>>> {
    let limit = page::limit(query.limit)?;
    let after: Option<SourceId> = page::cursor(query.after.as_deref())?;
    let sources = app.discovery.all().into_iter().map(Arc::unwrap_or_clone);
    let items = sources.filter(|source| after.as_ref().is_none_or(|after| source.source_id > *after)).take(limit + 1);
    Ok(Json(Page::new(items.collect(), limit, |source| source.source_id.clone())))
}

/// Makes a discovery source. Its configuration is checked by its plugin.
#[utoipa::path(post, path = "/discovery-sources", tag = "discovery", request_body = SourceBody, responses((status = 201, body = Source), (status = 409, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn create_source(
    who: ServicesWrite,
    State(app): State<App>,
    Body(body): Body<SourceBody>,
) -> ApiResult<Response> {
    check(&app, &who, &body).await?;
    let now = app.clock.now();
    let source = body.source(SourceId(app.ids.next()), now);
    let mut tx = app.db.write().await?;
    queries::insert(&mut tx, &source).await?;
    let mut changes = Changes::by(who.actor());
    changes.put(SOURCES, source.source_id.0.clone(), None, &source);
    app.feed.commit(tx, changes).await?;
    created(&format!("/api/v1/discovery-sources/{}", source.source_id), source)
}

/// Reads a discovery source, by id or by name, with what came of its last run. The `ETag` names what was said of it, not how it
/// fares.
#[utoipa::path(get, path = "/discovery-sources/{source_id}", tag = "discovery", params(("source_id" = String, Path)), responses((status = 200, body = Source), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("services:read"))))]
async fn read_source(
    _: ServicesRead,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
) -> ApiResult<Response> {
    let source = app.discovery.find(&id).or_not_found("discovery source")?;
    conditions.answer_shown(&source.said(), &*source)
}

/// Replaces a discovery source. What it found under another name is taken away first.
#[utoipa::path(put, path = "/discovery-sources/{source_id}", tag = "discovery", params(("source_id" = String, Path)), request_body = SourceBody, responses((status = 200, body = Source), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn replace_source(
    who: ServicesWrite,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
    Body(body): Body<SourceBody>,
) -> ApiResult<Json<Source>> {
    replace(&app, &who, &id, &conditions, |_| Ok(body.clone())).await
}

/// Changes a discovery source by a JSON merge patch.
#[utoipa::path(patch, path = "/discovery-sources/{source_id}", tag = "discovery", params(("source_id" = String, Path)), request_body = SourceBody, responses((status = 200, body = Source), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn patch_source(
    who: ServicesWrite,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
    patch: Patch,
) -> ApiResult<Json<Source>> {
    replace(&app, &who, &id, &conditions, |before| patch.apply(before)).await
}

async fn replace(
    app: &App,
    who: &Caller,
    id: &str,
    conditions: &Conditions,
    change: impl Fn(&SourceBody) -> ApiResult<SourceBody>,
) -> ApiResult<Json<Source>> {
    let mut before = queries::find(&mut app.db.read().await?, id).await?.or_not_found("discovery source")?;
    loop {
        conditions.allow_write(&before.said())?;
        let body = change(&SourceBody::of(&before))?;
        // No transaction waits for a plugin: what it was asked about may have changed when it has answered.
        check(app, who, &body).await?;
        let _turn = app.discovery.turn(&before.source_id).await;
        let mut tx = app.db.write().await?;
        let stored = queries::lock(&mut tx, before.source_id.as_str()).await?.or_not_found("discovery source")?;
        if stored.said() != before.said() {
            before = stored;
            continue;
        }
        let after = Source {
            created_at: stored.created_at,
            last_run_at: stored.last_run_at,
            last_outcome: stored.last_outcome.clone(),
            ..body.source(stored.source_id.clone(), app.clock.now())
        };
        queries::update(&mut tx, &after).await?;
        let mut changes = Changes::by(who.actor());
        changes.put(SOURCES, after.source_id.0.clone(), Some(&stored), &after);
        app.feed.commit(tx, changes).await?;
        if stored.name != after.name {
            worker::take_away(app, &stored.name).await?;
        }
        return Ok(Json(after));
    }
}

/// Deletes a discovery source, and takes away what it found.
#[utoipa::path(delete, path = "/discovery-sources/{source_id}", tag = "discovery", params(("source_id" = String, Path)), responses((status = 204), (status = 404, body = Problem), (status = 412, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn delete_source(
    who: ServicesWrite,
    State(app): State<App>,
    Path(id): Path<String>,
    conditions: Conditions,
) -> ApiResult<StatusCode> {
    who.must_be_unbound()?;
    let found = queries::find(&mut app.db.read().await?, &id).await?.or_not_found("discovery source")?;
    // A run that is under way here ends first: it must not register under a name that is gone.
    let _turn = app.discovery.turn(&found.source_id).await;
    let mut tx = app.db.write().await?;
    let source = queries::lock(&mut tx, found.source_id.as_str()).await?.or_not_found("discovery source")?;
    conditions.allow_write(&source.said())?;
    queries::delete(&mut tx, &source.source_id).await?;
    let mut changes = Changes::by(who.actor());
    changes.delete(SOURCES, source.source_id.0.clone(), &source);
    app.feed.commit(tx, changes).await?;
    worker::take_away(&app, &source.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Runs a discovery source now, and answers with what came of it; 409 while a run of it is under way.
#[utoipa::path(post, path = "/discovery-sources/{source_id}/run", tag = "discovery", params(("source_id" = String, Path)), responses((status = 200, body = Outcome), (status = 404, body = Problem), (status = 409, body = Problem)), extensions(("x-looma-access" = json!("services:write"))))]
async fn run_source(who: ServicesWrite, State(app): State<App>, Path(id): Path<String>) -> ApiResult<Json<Outcome>> {
    who.must_be_unbound()?;
    let source = app.discovery.find(&id).or_not_found("discovery source")?;
    match worker::run(&app, &source, Why::Asked).await {
        Ok(outcome) => Ok(Json(outcome)),
        Err(NoRun::Gone) => Err(ApiError::NotFound("discovery source".to_owned())),
        Err(NoRun::Db(error)) => Err(error.into()),
        Err(why @ (NoRun::UnderWay | NoRun::Lost)) => Err(ApiError::Conflict(why.to_string())),
    }
}

/// 422 with everything that is wrong; what the plugin finds stands under `/config`.
async fn check(app: &App, who: &Caller, body: &SourceBody) -> ApiResult<()> {
    who.must_be_unbound()?;
    let mut faults = body.faults();
    let config = db::Json(&body.config);
    let config = serde_json::to_string(&config).map_err(|error| ApiError::Internal(error.into()))?;
    app.plugins.check_named(Kind::DiscoveryStrategy, ("/strategy", &body.strategy), &config, &mut faults).await;
    Ok(faults.finish()?)
}
