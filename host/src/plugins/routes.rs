//! HTTP of plugins.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    CallError, Kind, PluginInfo, PluginName, Problem as ConfigProblem, Source,
    grants::{Grants, GrantsText},
    keeper::{self, Coming, Novelty, TakeError},
    load::File,
    queries::{self, KnownVersion},
    records,
    refusal::{Blame, Why},
    rollout::{
        self,
        keep::{self, Step},
        types::Action,
    },
    slot::Switch,
    trial::{self, Trial},
};
use crate::{
    app::App,
    clock::Timestamp,
    feed::{Changes, Topic},
    http::{
        auth::{Admin, PluginsRead, PluginsWrite},
        body::Body,
        error::{ApiError, ApiResult, Faults, OrNotFound as _, Problem},
        etag::{self, Conditions},
        page::{self, Page, Params},
    },
};

/// Grants in force, for the replicas alone.
pub(super) const GRANTS: Topic = Topic { name: "plugin-grants", scope: None };

/// The routes of plugins.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(upload))
        // The component's own limit is checked against the settings; this is what may be read at all.
        .layer(DefaultBodyLimit::max(512 << 20))
        .routes(routes!(list))
        .routes(routes!(show, remove))
        .routes(routes!(versions))
        .routes(routes!(roll_back))
        .routes(routes!(enable))
        .routes(routes!(disable))
        .routes(routes!(grants, set_grants))
        .routes(routes!(check))
        .routes(routes!(run))
        .merge(rollout::routes::routes())
}

/// Which page of plugins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// At most this many, 1 to 1000; 100 when absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Plugins of this kind alone.
    kind: Option<Kind>,
}

/// Lists the plugins, by name.
#[utoipa::path(get, path = "/plugins", tag = "plugins", params(ListQuery), responses((status = 200, body = Page<PluginInfo>), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("plugins:read"))))]
async fn list(
    _: PluginsRead,
    State(app): State<App>,
    Params(query): Params<ListQuery>,
) -> ApiResult<Json<Page<PluginInfo>>> {
    let limit = page::limit(query.limit)?;
    let after: Option<PluginName> = page::cursor(query.after.as_deref())?;
    let mut items = app.plugins.list();
    items.retain(|plugin| {
        after.as_ref().is_none_or(|after| plugin.name > *after)
            && query.kind.is_none_or(|kind| plugin.kind == Some(kind))
    });
    items.truncate(limit + 1);
    Ok(Json(Page::new(items, limit, |plugin| plugin.name.clone())))
}

/// Takes a component: it is looked at, compiled, asked who it is, and serves from then on.
#[utoipa::path(post, path = "/plugins", tag = "plugins", params(("X-Looma-Signature" = Option<String>, Header, description = "The signature of the component, as `looma plugin sign` makes it")), request_body(content = Vec<u8>, content_type = "application/wasm"), responses((status = 201, body = PluginInfo), (status = 200, description = "It serves already", body = PluginInfo), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, description = "The host could not compile it now", body = Problem)), extensions(("x-looma-access" = json!("plugins:write"))))]
async fn upload(who: PluginsWrite, State(app): State<App>, headers: HeaderMap, body: Bytes) -> ApiResult<Response> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim() != "application/wasm" {
        return Err(ApiError::UnsupportedMediaType("send a component, with Content-Type: application/wasm".to_owned()));
    }
    let most = app.settings.plugins.max_component_bytes;
    if body.len() as u64 > most {
        return Err(ApiError::TooLarge(format!("a component has at most {most} bytes here")));
    }
    let wasm: Arc<[u8]> = Vec::from(body).into();
    let signature = signature(&headers)?;
    if let Err(Why { reason, .. }) = app.plugins.signer(&wasm, signature.as_deref()) {
        keeper::audit_refusal(&app, &wasm, &reason, who.actor()).await?;
        return Err(Faults::one("", reason).into());
    }
    let name = app.plugins.own_name(&wasm).await.map_err(TakeError::Refused)?;
    let file = File::new(wasm, Source::Upload, app.clock.now(), signature);
    let (plugin, novelty) = keeper::take(&app, &name, file, Changes::by(who.actor())).await?;
    match novelty {
        Novelty::New => etag::created(&format!("/api/v1/plugins/{name}"), plugin),
        Novelty::Known => Ok(Json(plugin).into_response()),
    }
}

/// The signature that came with an upload.
fn signature(headers: &HeaderMap) -> ApiResult<Option<String>> {
    let text = headers.get("x-looma-signature").map(|value| value.to_str().map(str::to_owned)).transpose();
    text.map_err(|_| Faults::one("", "X-Looma-Signature is not text").into())
}

/// Shows a plugin.
#[utoipa::path(get, path = "/plugins/{name}", tag = "plugins", params(("name" = String, Path)), responses((status = 200, body = PluginInfo), (status = 304), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("plugins:read"))))]
async fn show(
    _: PluginsRead,
    State(app): State<App>,
    Path(name): Path<String>,
    conditions: Conditions,
) -> ApiResult<Response> {
    conditions.answer(&app.plugins.get(&known(&name)?).or_not_found("plugin")?)
}

/// Forgets a plugin: its versions, its keys, and its file in the folder. Not while something uses it.
#[utoipa::path(delete, path = "/plugins/{name}", tag = "plugins", params(("name" = String, Path)), responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)), extensions(("x-looma-access" = json!("plugins:write"))))]
async fn remove(who: PluginsWrite, State(app): State<App>, Path(name): Path<String>) -> ApiResult<StatusCode> {
    let name = known(&name)?;
    if let Some((owner, _)) = app.plugins.configs_in_use(&name).first() {
        return Err(ApiError::Conflict(format!("the plugin {name} is used by {owner}")));
    }
    keeper::remove(&app, &name, Changes::by(who.actor())).await?.or_not_found("plugin")?;
    Ok(StatusCode::NO_CONTENT)
}

/// A version that was taken once.
#[derive(Debug, Serialize, ToSchema)]
struct PluginVersion {
    /// The version it says it is.
    version: String,
    /// SHA-256 of its file, in hexadecimal.
    digest: String,
    /// Its kind.
    kind: Kind,
    /// Where its file came from.
    source: Source,
    /// When it last came into service.
    loaded_at: Timestamp,
    /// Whether it is the one that serves.
    serving: bool,
}

/// Lists the versions of a plugin, the latest first.
#[utoipa::path(get, path = "/plugins/{name}/versions", tag = "plugins", params(("name" = String, Path)), responses((status = 200, body = Page<PluginVersion>), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("plugins:read"))))]
async fn versions(
    _: PluginsRead,
    State(app): State<App>,
    Path(name): Path<String>,
) -> ApiResult<Json<Page<PluginVersion>>> {
    let name = known(&name)?;
    let plugin = app.plugins.get(&name).or_not_found("plugin")?;
    let versions = queries::versions(&mut app.db.read().await?, &name).await?;
    let each = |KnownVersion { plugin_name: _, digest, version, kind, source, loaded_at, signature: _ }| {
        PluginVersion { serving: plugin.digest.as_ref() == Some(&digest), version, digest, kind, source, loaded_at }
    };
    Ok(Json(Page { items: versions.into_iter().map(each).collect(), next: None }))
}

/// Goes back to the version before.
#[utoipa::path(post, path = "/plugins/{name}/rollback", tag = "plugins", params(("name" = String, Path)), responses((status = 200, body = PluginInfo), (status = 404, body = Problem), (status = 409, body = Problem)), extensions(("x-looma-access" = json!("plugins:write"))))]
async fn roll_back(who: PluginsWrite, State(app): State<App>, Path(name): Path<String>) -> ApiResult<Json<PluginInfo>> {
    let name = known(&name)?;
    app.plugins.get(&name).or_not_found("plugin")?;
    if let Some(candidate) = keep::on_its_way(&app, &name) {
        let told = rollout::routes::told(&candidate);
        return Err(ApiError::Conflict(format!("{told}, beside the one that serves: abort it first")));
    }
    let coming = Coming::back("rolled back by hand", None);
    let done = keeper::roll_back(&app, &name, Changes::by(who.actor()), coming).await?;
    done.map(Json).ok_or_else(|| ApiError::Conflict(format!("the plugin {name} has no version before this one")))
}

/// Lets calls through again, out of a quarantine too.
#[utoipa::path(post, path = "/plugins/{name}/enable", tag = "plugins", params(("name" = String, Path)), responses((status = 200, body = PluginInfo), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("plugins:write"))))]
async fn enable(who: PluginsWrite, State(app): State<App>, Path(name): Path<String>) -> ApiResult<Json<PluginInfo>> {
    let done = keeper::switch(&app, &known(&name)?, Switch::On, Changes::by(who.actor())).await?;
    Ok(Json(done.or_not_found("plugin")?))
}

/// Lets no calls through.
#[utoipa::path(post, path = "/plugins/{name}/disable", tag = "plugins", params(("name" = String, Path)), responses((status = 200, body = PluginInfo), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("plugins:write"))))]
async fn disable(who: PluginsWrite, State(app): State<App>, Path(name): Path<String>) -> ApiResult<Json<PluginInfo>> {
    let done = keeper::switch(&app, &known(&name)?, Switch::Off, Changes::by(who.actor())).await?;
    Ok(Json(done.or_not_found("plugin")?))
}

/// Shows what a plugin is granted; nothing, until something was.
#[utoipa::path(get, path = "/plugins/{name}/grants", tag = "plugins", params(("name" = String, Path)), responses((status = 200, body = GrantsText), (status = 304)), extensions(("x-looma-access" = json!("plugins:read"))))]
async fn grants(
    _: PluginsRead,
    State(app): State<App>,
    Path(name): Path<String>,
    conditions: Conditions,
) -> ApiResult<Response> {
    let grants = queries::grants(&mut app.db.read().await?, &known(&name)?).await?;
    conditions.answer(&grants.unwrap_or_default())
}

/// Grants a plugin exactly this, also before it is there.
#[utoipa::path(put, path = "/plugins/{name}/grants", tag = "plugins", params(("name" = String, Path)), request_body = GrantsText, responses((status = 200, body = GrantsText), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("admin"))))]
async fn set_grants(
    who: Admin,
    State(app): State<App>,
    Path(name): Path<String>,
    conditions: Conditions,
    Body(grants): Body<GrantsText>,
) -> ApiResult<Json<GrantsText>> {
    let name: PluginName = name.parse().map_err(|why: String| Faults::one("/name", why))?;
    Grants::parse(&grants).map_err(faults)?;
    let mut tx = app.db.write().await?;
    let before = queries::grants(&mut tx, &name).await?;
    conditions.allow_write(&before.clone().unwrap_or_default())?;
    let actor = who.actor();
    queries::keep_grants(&mut tx, &name, &grants, &actor.name, app.clock.now()).await?;
    let mut changes = Changes::by(actor);
    let granted = Step { name: &name, action: Action::Granted, reason: None, from: None, to: None };
    keep::write(&app, &mut tx, &mut changes, granted).await?;
    changes.put(GRANTS, name.as_str(), before.as_ref(), &grants);
    app.feed.commit(tx, changes).await?;
    Ok(Json(grants))
}

/// A configuration to look at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Check {
    /// The configuration.
    config: Value,
}

/// What a plugin says to a configuration.
#[derive(Debug, Serialize, ToSchema)]
struct Checked {
    /// Whether nothing is wrong with it.
    valid: bool,
    /// Every fault, with its place in the configuration.
    errors: Vec<ConfigProblem>,
}

/// Asks a plugin what it says to a configuration.
#[utoipa::path(post, path = "/plugins/{name}/check", tag = "plugins", params(("name" = String, Path)), request_body = Check, responses((status = 200, body = Checked), (status = 404, body = Problem), (status = 503, body = Problem)), extensions(("x-looma-access" = json!("plugins:read"))))]
async fn check(
    _: PluginsRead,
    State(app): State<App>,
    Path(name): Path<String>,
    Body(Check { config }): Body<Check>,
) -> ApiResult<Json<Checked>> {
    let name = known(&name)?;
    let plugin = app.plugins.get(&name).or_not_found("plugin")?;
    let kind = plugin.kind.ok_or_else(|| ApiError::Conflict(format!("no version of the plugin {name} has loaded")))?;
    let errors = app.plugins.check(&name, kind, &config.to_string()).await?;
    Ok(Json(Checked { valid: errors.is_empty(), errors }))
}

/// Tries a plugin on given input. Nothing comes of the answer: no alert, no delivery, no registration.
#[utoipa::path(post, path = "/plugins/{name}/run", tag = "plugins", params(("name" = String, Path)), request_body = Trial, responses((status = 200, body = Value), (status = 404, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)), extensions(("x-looma-access" = json!("plugins:write"))))]
async fn run(
    _: PluginsWrite,
    State(app): State<App>,
    Path(name): Path<String>,
    Body(trial): Body<Trial>,
) -> ApiResult<Json<Value>> {
    let name = known(&name)?;
    let plugin = app.plugins.get(&name).or_not_found("plugin")?;
    if let Some(replay) = &trial.replay {
        let report = records::run(&app, &name, replay, trial.digest.as_deref(), &trial.config).await?;
        return Ok(Json(serde_json::to_value(report).map_err(anyhow::Error::from)?));
    }
    let kind = plugin.kind.ok_or_else(|| ApiError::Conflict(format!("no version of the plugin {name} has loaded")))?;
    Ok(Json(trial::run(&app.plugins, &name, kind, trial, app.clock.now()).await?))
}

/// A name that no plugin can have is a plugin that is not there.
fn known(name: &str) -> ApiResult<PluginName> {
    name.parse().map_err(|_| ApiError::NotFound("plugin".to_owned()))
}

fn faults(problems: Vec<ConfigProblem>) -> Faults {
    let mut faults = Faults::new();
    for ConfigProblem { pointer, message } in problems {
        faults.add(pointer, message);
    }
    faults
}

impl From<TakeError> for ApiError {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Refused(refused) => match refused.blame {
                Blame::File | Blame::Slow | Blame::Use => Faults::one("", refused.reason).into(),
                Blame::Host => Self::Unavailable(refused.reason, 30),
            },
            TakeError::Database(error) => error.into(),
            TakeError::Moved => Self::Conflict(error.to_string()),
        }
    }
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unknown(_) => Self::NotFound("plugin".to_owned()),
            CallError::InvalidConfig(problems) => {
                let mut all = Faults::new();
                all.under("/config", faults(problems));
                all.into()
            }
            CallError::InvalidInput(why) => Faults::one("/input", why).into(),
            CallError::WrongKind { .. } | CallError::Limit(_) | CallError::Permanent(_) => {
                Faults::one("", error.to_string()).into()
            }
            CallError::Trap(_) | CallError::Timeout | CallError::Contract(_) => {
                Faults::one("", error.to_string()).into()
            }
            CallError::NotServing { .. } | CallError::Busy => Self::Unavailable(error.to_string(), 5),
            CallError::Transient { ref retry_after_ms, .. } => {
                Self::Unavailable(error.to_string(), u64::from(retry_after_ms.unwrap_or(5_000).div_ceil(1_000)))
            }
        }
    }
}
