//! HTTP of versions on their way.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    keep, queries,
    report::Seen,
    types::{Candidate, Entry, Policy, RolloutInfo, Stage, VersionRef},
    worker,
};
use crate::{
    app::App,
    feed::Changes,
    http::{
        auth::{PluginsRead, PluginsWrite},
        body::Body,
        error::{ApiError, ApiResult, OrNotFound as _, Problem},
        etag::Conditions,
        page::{self, Page, Params},
    },
    plugins::{PluginInfo, PluginName},
};

/// The routes of versions on their way.
pub(in crate::plugins) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(policy, set_policy, delete_policy))
        .routes(routes!(seen))
        .routes(routes!(promote))
        .routes(routes!(abort))
        .routes(routes!(history))
}

/// Shows how new versions of a plugin come into service; 404: at once.
#[utoipa::path(get, path = "/plugins/{name}/rollout", tag = "plugins", params(("name" = String, Path)), responses((status = 200, body = Policy), (status = 304), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("plugins:read"))))]
async fn policy(
    _: PluginsRead,
    State(app): State<App>,
    Path(name): Path<String>,
    conditions: Conditions,
) -> ApiResult<Response> {
    let policy = queries::policy(&mut app.db.read().await?, &known(&name)?).await?;
    conditions.answer(&policy.or_not_found("rollout policy")?)
}

/// Says how new versions of a plugin come into service, the one on its way too.
#[utoipa::path(put, path = "/plugins/{name}/rollout", tag = "plugins", params(("name" = String, Path)), request_body = Policy, responses((status = 200, body = Policy), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("plugins:write"))))]
async fn set_policy(
    who: PluginsWrite,
    State(app): State<App>,
    Path(name): Path<String>,
    conditions: Conditions,
    Body(policy): Body<Policy>,
) -> ApiResult<Json<Policy>> {
    let name = known(&name)?;
    let plugin = app.plugins.get(&name).or_not_found("plugin")?;
    let kind = plugin.kind.ok_or_else(|| ApiError::Conflict(format!("no version of the plugin {name} has loaded")))?;
    policy.faults(kind).finish()?;
    let mut tx = app.db.write().await?;
    let before = queries::policy(&mut tx, &name).await?;
    conditions.allow_write(&before)?;
    queries::put_policy(&mut tx, &name, &policy, app.clock.now()).await?;
    let mut changes = Changes::by(who.actor());
    changes.put(keep::POLICIES, name.as_str(), before.as_ref(), &policy);
    app.feed.commit(tx, changes).await?;
    Ok(Json(policy))
}

/// Lets new versions of a plugin serve at once again. Not while one is on its way.
#[utoipa::path(delete, path = "/plugins/{name}/rollout", tag = "plugins", params(("name" = String, Path)), responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)), extensions(("x-looma-access" = json!("plugins:write"))))]
async fn delete_policy(
    who: PluginsWrite,
    State(app): State<App>,
    Path(name): Path<String>,
    conditions: Conditions,
) -> ApiResult<StatusCode> {
    let name = known(&name)?;
    let mut tx = app.db.write().await?;
    let before = queries::policy(&mut tx, &name).await?.or_not_found("rollout policy")?;
    conditions.allow_write(&before)?;
    if let Some(candidate) = keep::on_its_way(&app, &name) {
        return Err(ApiError::Conflict(format!("{}: promote or abort it first", told(&candidate))));
    }
    queries::delete_policy(&mut tx, &name).await?;
    let mut changes = Changes::by(who.actor());
    changes.delete(keep::POLICIES, name.as_str(), &before);
    app.feed.commit(tx, changes).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What was seen of the newest version, beside the other.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginShadow)]
struct Shown {
    /// Where the newest version stands.
    rollout: RolloutInfo,
    /// The version that it stands beside: the one that serves, or served before.
    beside: Option<VersionRef>,
    /// What was seen, on all replicas.
    #[serde(flatten)]
    seen: Seen,
}

/// Shows how the newest version of a plugin compares with the one that serves, or served before.
#[utoipa::path(get, path = "/plugins/{name}/shadow", tag = "plugins", params(("name" = String, Path)), responses((status = 200, body = Shown), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("plugins:read"))))]
async fn seen(_: PluginsRead, State(app): State<App>, Path(name): Path<String>) -> ApiResult<Json<Shown>> {
    let name = known(&name)?;
    app.plugins.get(&name).or_not_found("plugin")?;
    let slot = app.plugins.slot(&name).or_not_found("plugin")?;
    let candidate = slot.rollout.candidate().or_not_found("version on its way")?;
    let seen = worker::seen(&app, &slot, &candidate).await?.shown();
    Ok(Json(Shown { rollout: candidate.shown(), beside: candidate.before, seen }))
}

/// How far a version goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum To {
    /// It serves a share of the keys.
    Canary,
    /// It serves.
    Serving,
}

/// A step by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PluginPromote)]
#[serde(deny_unknown_fields)]
struct Promotion {
    /// How far; one step when absent.
    #[serde(default)]
    to: Option<To>,
    /// Why, for the history.
    #[serde(default)]
    reason: Option<String>,
}

/// Moves the version on its way on: from beside to a share of the keys where there is one, and then into service.
#[utoipa::path(post, path = "/plugins/{name}/promote", tag = "plugins", params(("name" = String, Path)), request_body = Promotion, responses((status = 200, body = PluginInfo), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)), extensions(("x-looma-access" = json!("plugins:write"))))]
async fn promote(
    who: PluginsWrite,
    State(app): State<App>,
    Path(name): Path<String>,
    Body(Promotion { to, reason }): Body<Promotion>,
) -> ApiResult<Json<PluginInfo>> {
    let (name, candidate) = on_its_way(&app, &name)?;
    let share =
        app.plugins.slot(&name).and_then(|slot| slot.rollout.policy()).map_or(0.0, |policy| policy.canary_percent);
    let next = if candidate.stage == Stage::Shadow && share > 0.0 { To::Canary } else { To::Serving };
    let changes = Changes::by(who.actor());
    let by_hand = reason.or_else(|| Some("promoted by hand".to_owned()));
    match to.unwrap_or(next) {
        To::Canary if candidate.stage == Stage::Canary || share <= 0.0 => {
            return Err(ApiError::Conflict(format!("{}, and canary_percent is {share}", told(&candidate))));
        }
        To::Canary => {
            let to = candidate.moved(Stage::Canary, app.clock.now(), by_hand);
            if !keep::advance(&app, &name, &candidate, &to, changes).await? {
                return Err(moved(&name));
            }
        }
        To::Serving => {
            if app.plugins.slot(&name).is_some_and(|slot| slot.rollout.lacks_candidate().is_some()) {
                return Err(ApiError::Unavailable("this replica does not have that version yet".to_owned(), 5));
            }
            keep::serve(&app, &name, &candidate, by_hand, changes).await?.ok_or_else(|| moved(&name))?;
        }
    }
    Ok(Json(app.plugins.get(&name).or_not_found("plugin")?))
}

/// A version given up by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PluginAbort)]
#[serde(deny_unknown_fields)]
struct Abortion {
    /// Why, for the history.
    #[serde(default)]
    reason: Option<String>,
}

/// Gives up the version on its way; the one that serves goes on.
#[utoipa::path(post, path = "/plugins/{name}/abort", tag = "plugins", params(("name" = String, Path)), request_body = Abortion, responses((status = 200, body = PluginInfo), (status = 404, body = Problem), (status = 409, body = Problem)), extensions(("x-looma-access" = json!("plugins:write"))))]
async fn abort(
    who: PluginsWrite,
    State(app): State<App>,
    Path(name): Path<String>,
    Body(Abortion { reason }): Body<Abortion>,
) -> ApiResult<Json<PluginInfo>> {
    let (name, candidate) = on_its_way(&app, &name)?;
    let by_hand = reason.or_else(|| Some("given up by hand".to_owned()));
    let to = candidate.moved(Stage::Aborted, app.clock.now(), by_hand);
    if !keep::advance(&app, &name, &candidate, &to, Changes::by(who.actor())).await? {
        return Err(moved(&name));
    }
    Ok(Json(app.plugins.get(&name).or_not_found("plugin")?))
}

/// Which page of a history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// At most this many, 1 to 1000; 100 when absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Lists what became of a plugin's versions, newest first: who, when, what, why.
#[utoipa::path(get, path = "/plugins/{name}/history", tag = "plugins", params(("name" = String, Path), HistoryQuery), responses((status = 200, body = Page<Entry>), (status = 404, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("plugins:read"))))]
async fn history(
    _: PluginsRead,
    State(app): State<App>,
    Path(name): Path<String>,
    Params(query): Params<HistoryQuery>,
) -> ApiResult<Json<Page<Entry>>> {
    let limit = page::limit(query.limit)?;
    // Past every key that there is.
    let before = page::cursor(query.after.as_deref())?.unwrap_or_else(|| "g".to_owned());
    let name = known(&name)?;
    app.plugins.get(&name).or_not_found("plugin")?;
    let asked = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let items = queries::history(&mut app.db.read().await?, &name, &before, asked).await?;
    Ok(Json(Page::new(items, limit, |entry| entry.history_id.clone())))
}

/// A name that no plugin can have is a plugin that is not there.
fn known(name: &str) -> ApiResult<PluginName> {
    name.parse().map_err(|_| ApiError::NotFound("plugin".to_owned()))
}

fn on_its_way(app: &App, name: &str) -> ApiResult<(PluginName, Candidate)> {
    let name = known(name)?;
    app.plugins.get(&name).or_not_found("plugin")?;
    let candidate = keep::on_its_way(app, &name);
    let candidate =
        candidate.ok_or_else(|| ApiError::Conflict(format!("no version of the plugin {name} is on its way")))?;
    Ok((name, candidate))
}

/// Which version is on its way, and where it stands.
pub(in crate::plugins) fn told(candidate: &Candidate) -> String {
    let version = candidate.plugin.version.as_deref().unwrap_or(candidate.digest());
    format!("version {version} is on its way ({})", candidate.stage)
}

fn moved(name: &PluginName) -> ApiError {
    ApiError::Conflict(format!("the version of the plugin {name} that is on its way changed meanwhile"))
}
