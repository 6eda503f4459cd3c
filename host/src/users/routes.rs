//! HTTP of users. What a user's password is, or was hashed to, is in no answer.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    order, queries,
    queries::Locked,
    sessions, tokens,
    types::{NewPassword, NewUser, Permissions, USERS, User, UserQuery, UserStatus, WritableUser},
};
use crate::{
    app::App,
    db::{Json as Column, Tx},
    feed::Changes,
    http::{
        auth::{Admin, Caller, Role, SignedIn, Subject},
        body::{Body, Patch},
        error::{ApiError, ApiResult, Faults, OrNotFound as _, Problem},
        etag::{self, Conditions},
        page::{Page, Params},
    },
    ids::UserId,
};

/// The routes of users, of their tokens and of signing in.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(sessions::routes())
        .merge(tokens::routes())
        .routes(routes!(list, create))
        .routes(routes!(read, update, remove))
        .routes(routes!(set_password))
        .routes(routes!(permissions, set_permissions))
}

/// Lists users.
#[utoipa::path(get, path = "/users", tag = "users", params(UserQuery), responses((status = 200, body = Page<User>), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("admin"))))]
async fn list(_: Admin, State(app): State<App>, Params(query): Params<UserQuery>) -> ApiResult<Json<Page<User>>> {
    let UserQuery { role, status, username, sort, limit, after } = query;
    let order = order::Order::read(sort.as_deref())?;
    let users = queries::filtered(&mut app.db.read().await?, role, status, username.as_deref()).await?;
    Ok(Json(order.page(users, limit, after.as_deref())?))
}

/// Makes a user.
#[utoipa::path(post, path = "/users", tag = "users", request_body = NewUser, responses((status = 201, body = User), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)), extensions(("x-looma-access" = json!("admin"))))]
async fn create(who: Admin, State(app): State<App>, Body(new): Body<NewUser>) -> ApiResult<Response> {
    new.faults().finish()?;
    let NewUser { username, password, role, email, permissions } = new;
    let hash = app.users.hashers.hash(password, app.ids.random()).await?;
    let username = username.trim().to_owned();
    let user = User::new(UserId(app.ids.next()), username, email, role, app.clock.now());
    let user = User { permissions: Column(permissions), ..user };
    let mut tx = app.db.write().await?;
    queries::insert(&mut tx, &user, &hash).await?;
    let mut changes = Changes::by(who.actor());
    changes.put(USERS, user.user_id.0.clone(), None, &user);
    app.feed.commit(tx, changes).await?;
    etag::created(&format!("/api/v1/users/{}", user.user_id), user)
}

/// Gives a user. Signing in does not change its entity tag.
#[utoipa::path(get, path = "/users/{user_id}", tag = "users", params(("user_id" = String, Path)), responses((status = 200, body = User), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("admin"))))]
async fn read(_: Admin, State(app): State<App>, Path(id): Path<UserId>, conditions: Conditions) -> ApiResult<Response> {
    let user = queries::find(&mut app.db.read().await?, &id).await?.or_not_found("user")?;
    conditions.answer_shown(&user.version(), &user)
}

/// Changes role, status, e-mail address or permissions of a user. One who is no longer active is signed out at once.
#[utoipa::path(patch, path = "/users/{user_id}", tag = "users", params(("user_id" = String, Path)), request_body = WritableUser, responses((status = 200, body = User), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("admin"))))]
async fn update(
    who: Admin,
    State(app): State<App>,
    Path(id): Path<UserId>,
    conditions: Conditions,
    patch: Patch,
) -> ApiResult<Response> {
    let mut tx = app.db.write().await?;
    let locked = queries::lock(&mut tx, &id).await?.or_not_found("user")?;
    conditions.allow_write(&locked.user.version())?;
    let after = changed(&locked.user, &patch)?;
    let after = User { updated_at: app.clock.now(), ..after };
    if !is_active_admin(&after) {
        keep_an_administrator(&locked)?;
    }
    save(&app, tx, &who, &locked.user, &after).await?;
    conditions.answer_shown(&after.version(), &after)
}

/// Deletes a user, with sessions and tokens.
#[utoipa::path(delete, path = "/users/{user_id}", tag = "users", params(("user_id" = String, Path)), responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)), extensions(("x-looma-access" = json!("admin"))))]
async fn remove(
    who: Admin,
    State(app): State<App>,
    Path(id): Path<UserId>,
    conditions: Conditions,
) -> ApiResult<StatusCode> {
    let mut tx = app.db.write().await?;
    let locked = queries::lock(&mut tx, &id).await?.or_not_found("user")?;
    conditions.allow_write(&locked.user.version())?;
    keep_an_administrator(&locked)?;
    queries::delete(&mut tx, &id).await?;
    let mut changes = Changes::by(who.actor());
    changes.delete(USERS, id.0, &locked.user);
    app.feed.commit(tx, changes).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets a password: an administrator anybody's, others their own. Every other session of that user ends.
#[utoipa::path(put, path = "/users/{user_id}/password", tag = "users", params(("user_id" = String, Path)), request_body = NewPassword, responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)), extensions(("x-looma-access" = json!("signed in"))))]
async fn set_password(
    who: SignedIn,
    State(app): State<App>,
    Path(id): Path<UserId>,
    Body(new): Body<NewPassword>,
) -> ApiResult<StatusCode> {
    new.faults().finish()?;
    if who.role != Role::Admin && who.user_id != id {
        return Err(ApiError::Forbidden("only an administrator sets the password of somebody else".to_owned()));
    }
    let NewPassword { password, current_password } = new;
    check_current(&app, &who, &id, current_password).await?;
    let hash = app.users.hashers.hash(password, app.ids.random()).await?;
    let mut tx = app.db.write().await?;
    queries::lock(&mut tx, &id).await?.or_not_found("user")?;
    queries::set_password(&mut tx, &id, &hash, app.clock.now()).await?;
    let mut changes = Changes::by(who.actor());
    changes.audit(USERS.name, id.as_str(), "password", None, None);
    let own = match &who.subject {
        Subject::Session(session) => Some(session),
        Subject::Token(_) => None,
    };
    sessions::end_of_user(&mut tx, &mut changes, &id, own).await?;
    app.feed.commit(tx, changes).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives what a user may do beside its role.
#[utoipa::path(get, path = "/users/{user_id}/permissions", tag = "users", params(("user_id" = String, Path)), responses((status = 200, body = Permissions), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("admin"))))]
async fn permissions(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<UserId>,
    conditions: Conditions,
) -> ApiResult<Response> {
    let user = queries::find(&mut app.db.read().await?, &id).await?.or_not_found("user")?;
    conditions.answer(&Permissions { permissions: user.permissions.0 })
}

/// Replaces what a user may do beside its role.
#[utoipa::path(put, path = "/users/{user_id}/permissions", tag = "users", params(("user_id" = String, Path)), request_body = Permissions, responses((status = 200, body = Permissions), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("admin"))))]
async fn set_permissions(
    who: Admin,
    State(app): State<App>,
    Path(id): Path<UserId>,
    conditions: Conditions,
    Body(new): Body<Permissions>,
) -> ApiResult<Response> {
    new.faults().finish()?;
    let mut tx = app.db.write().await?;
    let Locked { user: before, .. } = queries::lock(&mut tx, &id).await?.or_not_found("user")?;
    conditions.allow_write(&Permissions { permissions: before.permissions.0.clone() })?;
    let after = User { permissions: Column(new.permissions), updated_at: app.clock.now(), ..before.clone() };
    save(&app, tx, &who, &before, &after).await?;
    conditions.answer(&Permissions { permissions: after.permissions.0 })
}

fn changed(user: &User, patch: &Patch) -> ApiResult<User> {
    let User { role, status, ref email, ref permissions, .. } = *user;
    let writable = WritableUser { role, status, email: email.clone(), permissions: permissions.0.clone() };
    let writable = patch.apply(&writable)?;
    writable.faults().finish()?;
    let WritableUser { role, status, email, permissions } = writable;
    Ok(User { role, status, email, permissions: Column(permissions), ..user.clone() })
}

async fn save(app: &App, mut tx: Tx, who: &Caller, before: &User, after: &User) -> ApiResult<()> {
    queries::update(&mut tx, after).await?;
    let mut changes = Changes::by(who.actor());
    changes.put(USERS, after.user_id.0.clone(), Some(before), after);
    if after.status != UserStatus::Active {
        sessions::end_of_user(&mut tx, &mut changes, &after.user_id, None).await?;
    }
    app.feed.commit(tx, changes).await?;
    Ok(())
}

fn is_active_admin(user: &User) -> bool {
    user.role == Role::Admin && user.status == UserStatus::Active
}

/// 409 if without this one there were no administrator any more.
fn keep_an_administrator(locked: &Locked) -> ApiResult<()> {
    if is_active_admin(&locked.user) && locked.other_admins == 0 {
        return Err(ApiError::Conflict("this is the last active administrator: there must be one".to_owned()));
    }
    Ok(())
}

/// The password in use: an administrator may leave it out, others not, and guessing it counts as guessing at sign-in does.
async fn check_current(app: &App, who: &Caller, id: &UserId, current: Option<String>) -> ApiResult<()> {
    let Some(current) = current else {
        return match who.role {
            Role::Admin => Ok(()),
            _ => Err(Faults::one("/current_password", "is missing").into()),
        };
    };
    let attempt = app.users.limit.attempt(&who.username, who.source).map_err(ApiError::TooManyRequests)?;
    let right = is_right(app, id, current).await;
    if !matches!(right, Ok(false)) {
        attempt.give_back();
    }
    if right? { Ok(()) } else { Err(Faults::one("/current_password", "is not the password in use").into()) }
}

async fn is_right(app: &App, id: &UserId, password: String) -> ApiResult<bool> {
    let hash = queries::hash_of(&mut app.db.read().await?, id).await?.or_not_found("user")?;
    app.users.hashers.verify(password, hash).await
}
