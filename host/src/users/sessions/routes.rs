//! HTTP of signing in.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    queries, token,
    types::{Login, Me, Refresh, SESSIONS, Session, Tokens},
};
use crate::{
    app::App,
    db::Tx,
    feed::{Actor, Changes},
    http::{
        auth::{Caller, Grant, Role, SignedIn, Source, Subject, fingerprint},
        body::Body,
        error::{ApiError, ApiResult, OrNotFound as _, Problem},
        page::Page,
    },
    ids::{SessionId, UserId},
    users::{User, UserStatus, queries as users},
};

const WRONG: ApiError = ApiError::Unauthorized("the name or the password is not right");

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(me))
        .routes(routes!(list))
        .routes(routes!(revoke))
}

/// Signs in with a name and a password.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = Login, responses((status = 200, body = Tokens), (status = 401, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)), extensions(("x-looma-access" = json!("public"))))]
async fn login(source: Source, State(app): State<App>, Body(login): Body<Login>) -> ApiResult<Json<Tokens>> {
    let Login { username, password } = login;
    let (_, session, refresh_token) = begin(&app, source, &username, password, session_length(&app)).await?;
    tokens(&app, &session, refresh_token)
}

/// Signs in for as long as one access token lasts: for clients that sign in anew rather than refresh.
pub async fn sign_in(app: App, source: Source, username: String, password: String) -> ApiResult<Grant> {
    let seconds = app.settings.auth.access_token_seconds;
    let length = std::time::Duration::from_secs(seconds.unsigned_abs());
    let (user, session, _) = begin(&app, source, &username, password, length).await?;
    let access_token = app.auth.issue(&session.user_id, &session.session_id, seconds)?;
    Ok(Grant { access_token, seconds, role: user.role })
}

/// Begins a session of this length for whoever knows the password; gives its first refresh token.
async fn begin(
    app: &App,
    source: Source,
    username: &str,
    password: String,
    length: std::time::Duration,
) -> ApiResult<(User, Session, String)> {
    let attempt = app.users.limit.attempt(username, source.address).map_err(ApiError::TooManyRequests)?;
    let verified = verified(app, username, password).await;
    if !matches!(verified, Ok(None)) {
        attempt.give_back();
    }
    let (user, hash) = verified?.ok_or(WRONG)?;
    let now = app.clock.now();
    let session = Session {
        session_id: SessionId(app.ids.next()),
        user_id: user.user_id.clone(),
        source: source.address.to_string(),
        generation: 1,
        expires_at: now.plus(length),
        created_at: now,
        updated_at: now,
    };
    let refresh_token = token::make(app.auth.key(), &session.session_id, 1);
    let mut tx = app.db.write().await?;
    // Before the session: whoever changes the password or the status waits for this row, and then ends this session too.
    if !users::set_last_login(&mut tx, &user.user_id, now, &hash).await? {
        return Err(WRONG);
    }
    queries::insert(&mut tx, &session, &fingerprint(&refresh_token)).await?;
    let name = format!("user:{}", user.user_id);
    let mut changes = Changes::by(Actor { name, source: session.source.clone(), request: source.request });
    changes.put_quietly(SESSIONS, session.session_id.0.clone(), &session);
    changes.audit("sessions", session.session_id.as_str(), "login", None, None);
    app.feed.commit(tx, changes).await?;
    Ok((user, session, refresh_token))
}

/// The user and the hash, if the password is right and may be used; it takes as long when the name is not known.
async fn verified(app: &App, username: &str, password: String) -> ApiResult<Option<(User, String)>> {
    let found = match username.contains('\0') {
        // PostgreSQL would not even look for it.
        true => None,
        false => users::password_of(&mut app.db.read().await?, username).await?,
    };
    let hash = found.as_ref().map_or(&*app.users.decoy, |(_, hash)| hash).to_owned();
    let right = app.users.hashers.verify(password, hash).await?;
    Ok(found.filter(|(user, _)| right && user.status == UserStatus::Active))
}

/// Changes a refresh token, which is good once, for new tokens. A second use ends the session.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", request_body = Refresh, responses((status = 200, body = Tokens), (status = 401, body = Problem)), extensions(("x-looma-access" = json!("public"))))]
async fn refresh(source: Source, State(app): State<App>, Body(body): Body<Refresh>) -> ApiResult<Json<Tokens>> {
    const GONE: ApiError = ApiError::Unauthorized("this refresh token is not good any more: sign in");
    let (id, generation) = token::read(app.auth.key(), &body.refresh_token).ok_or(GONE)?;
    let now = app.clock.now();
    let mut tx = app.db.write().await?;
    let session = queries::find(&mut tx, &id).await?.filter(|session| session.expires_at > now).ok_or(GONE)?;
    let next = token::make(app.auth.key(), &id, generation + 1);
    let until = now.plus(session_length(&app));
    let Some(session) = queries::rotate(&mut tx, &id, generation, &fingerprint(&next), until, now).await? else {
        tracing::warn!(session.id = %id, source = %source.address, "a refresh token was used twice: session ended");
        let name = format!("user:{}", session.user_id);
        let actor = Actor { name, source: source.address.to_string(), request: source.request };
        end(&app, tx, actor, "reuse", &id).await?;
        return Err(GONE);
    };
    let mut changes = Changes::unaudited();
    changes.put_quietly(SESSIONS, id.0, &session);
    app.feed.commit(tx, changes).await?;
    tokens(&app, &session, next)
}

/// Signs out: the session, and every token that came of it, ends at once.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", responses((status = 204)), extensions(("x-looma-access" = json!("signed in"))))]
async fn logout(who: SignedIn, State(app): State<App>) -> ApiResult<StatusCode> {
    if let Subject::Session(id) = &who.subject {
        let tx = app.db.write().await?;
        end(&app, tx, who.actor(), "logout", id).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Says who is asking.
#[utoipa::path(get, path = "/auth/me", tag = "auth", responses((status = 200, body = Me)), extensions(("x-looma-access" = json!("any"))))]
async fn me(caller: Caller) -> Json<Me> {
    let Caller { user_id, username, role, subject, source: _, request: _ } = caller;
    let scopes = match subject {
        Subject::Session(_) => None,
        Subject::Token(token) => Some(token.scopes.iter().map(ToString::to_string).collect()),
    };
    Json(Me { user_id, username, role, scopes })
}

/// Lists one's own sessions.
#[utoipa::path(get, path = "/auth/sessions", tag = "auth", responses((status = 200, body = Page<Session>)), extensions(("x-looma-access" = json!("signed in"))))]
async fn list(who: SignedIn, State(app): State<App>) -> ApiResult<Json<Page<Session>>> {
    let items = queries::of_user(&mut app.db.read().await?, &who.user_id).await?;
    Ok(Json(Page { items, next: None }))
}

/// Ends a session: one's own, or, for an administrator, anybody's.
#[utoipa::path(delete, path = "/auth/sessions/{session_id}", tag = "auth", params(("session_id" = String, Path)), responses((status = 204), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("signed in"))))]
async fn revoke(who: SignedIn, State(app): State<App>, Path(id): Path<SessionId>) -> ApiResult<StatusCode> {
    let mut tx = app.db.write().await?;
    let may_end = |owner: &UserId| *owner == who.user_id || who.role == Role::Admin;
    queries::find(&mut tx, &id).await?.filter(|session| may_end(&session.user_id)).or_not_found("session")?;
    end(&app, tx, who.actor(), "revoke", &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end(app: &App, mut tx: Tx, actor: Actor, action: &str, id: &SessionId) -> ApiResult<()> {
    queries::delete(&mut tx, id).await?;
    let mut changes = Changes::by(actor);
    changes.delete_quietly(SESSIONS, id.0.clone());
    changes.audit("sessions", id.as_str(), action, None, None);
    app.feed.commit(tx, changes).await?;
    Ok(())
}

fn session_length(app: &App) -> std::time::Duration {
    std::time::Duration::from_secs(app.settings.auth.session_seconds)
}

fn tokens(app: &App, session: &Session, refresh_token: String) -> ApiResult<Json<Tokens>> {
    let expires_in = app.settings.auth.access_token_seconds;
    let access_token = app.auth.issue(&session.user_id, &session.session_id, expires_in)?;
    Ok(Json(Tokens { access_token, token_type: "Bearer".to_owned(), expires_in, refresh_token }))
}
