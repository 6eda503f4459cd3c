//! HTTP of secrets, for administrators alone. A value comes in and never goes out.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    queries,
    types::{ListQuery, NewValue, SECRETS, Secret, SecretName, ShownSecret, Stored},
};
use crate::{
    app::App,
    feed::Changes,
    http::{
        auth::Admin,
        body::Body,
        error::{ApiError, ApiResult, OrNotFound as _, Problem},
        etag::{self, Conditions},
        page::{self, Page, Params},
    },
};

/// The routes of secrets.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read, set, remove))
}

/// Lists the secrets by name: versions and dates, and no values.
#[utoipa::path(get, path = "/secrets", tag = "secrets", params(ListQuery), responses((status = 200, body = Page<ShownSecret>), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("admin"))))]
async fn list(
    _: Admin,
    State(app): State<App>,
    Params(query): Params<ListQuery>,
) -> ApiResult<Json<Page<ShownSecret>>> {
    let ListQuery { limit, after } = query;
    let limit = page::limit(limit)?;
    let after = page::cursor(after.as_deref())?.unwrap_or_else(|| SecretName(String::new()));
    let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let items = queries::page(&mut app.db.read().await?, &after, most).await?;
    let items = items.into_iter().map(|secret| shown(&app, secret)).collect();
    Ok(Json(Page::new(items, limit, |shown: &ShownSecret| shown.secret.name.clone())))
}

/// Shows a secret, without its value.
#[utoipa::path(get, path = "/secrets/{name}", tag = "secrets", params(("name" = String, Path)), responses((status = 200, body = ShownSecret), (status = 304), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("admin"))))]
async fn read(
    _: Admin,
    State(app): State<App>,
    Path(name): Path<SecretName>,
    conditions: Conditions,
) -> ApiResult<Response> {
    let Stored { secret, .. } = queries::find(&mut app.db.read().await?, &name).await?.or_not_found("secret")?;
    conditions.answer_shown(&secret.clone(), &shown(&app, secret))
}

/// Gives a secret a value, a new one or another one. The value is sealed, and shown to nobody from then on.
#[utoipa::path(put, path = "/secrets/{name}", tag = "secrets", params(("name" = String, Path)), request_body = NewValue, responses((status = 201, body = ShownSecret), (status = 200, body = ShownSecret), (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("admin"))))]
async fn set(
    who: Admin,
    State(app): State<App>,
    Path(name): Path<SecretName>,
    conditions: Conditions,
    Body(new): Body<NewValue>,
) -> ApiResult<Response> {
    new.faults(&name).finish()?;
    let mut tx = app.db.write().await?;
    let before = queries::find(&mut tx, &name).await?.map(|stored| stored.secret);
    match &before {
        Some(before) => conditions.allow_write(before)?,
        None if conditions.guards_write() => return Err(ApiError::PreconditionFailed),
        None => {}
    }
    let seal = &app.secrets.0.seal;
    if let Some(other) = queries::foreign(&mut tx, seal.id()).await? {
        return Err(ApiError::Conflict(format!(
            "the secret {other} is sealed under another key than this server's: give it the right file \
             (secrets.key_file), or delete what it cannot open"
        )));
    }
    let (actor, now) = (who.actor(), app.clock.now());
    let (version, created_at) = before.as_ref().map_or((1, now), |before| (before.version + 1, before.created_at));
    let sealed = seal.seal(name.as_str(), version, &new.value, app.ids.random())?;
    let secret = Secret { name, version, updated_by: actor.name.clone(), created_at, updated_at: now };
    let stored = Stored { secret: secret.clone(), sealed, key_id: seal.id().to_owned() };
    match &before {
        None => queries::insert(&mut tx, &stored).await?,
        Some(_) if queries::update(&mut tx, &stored).await? => {}
        Some(_) => return Err(ApiError::Conflict("somebody else set this secret at the same time".to_owned())),
    }
    let mut changes = Changes::by(actor);
    changes.put(SECRETS, secret.name.0.clone(), before.as_ref(), &secret);
    let _pending = app.secrets.pend(&secret, new.value);
    app.feed.commit(tx, changes).await?;
    let location = format!("/api/v1/secrets/{}", secret.name);
    match before {
        None => etag::created(&location, shown(&app, secret)),
        Some(_) => Ok(Json(shown(&app, secret)).into_response()),
    }
}

/// Forgets a secret. Plugins that name it are told that there is none.
#[utoipa::path(delete, path = "/secrets/{name}", tag = "secrets", params(("name" = String, Path)), responses((status = 204), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("admin"))))]
async fn remove(who: Admin, State(app): State<App>, Path(name): Path<SecretName>) -> ApiResult<StatusCode> {
    let mut tx = app.db.write().await?;
    let secret = queries::delete(&mut tx, &name).await?.or_not_found("secret")?;
    let mut changes = Changes::by(who.actor());
    changes.delete(SECRETS, name.0, &secret);
    app.feed.commit(tx, changes).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(app: &App, secret: Secret) -> ShownSecret {
    let error = app.secrets.secrets().fault(secret.name.as_str());
    ShownSecret { error: error.map(|why| why.to_string()), secret }
}
