//! HTTP of API tokens. Only somebody who signed in makes, sees or ends them: a token makes no tokens.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde_json::json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    queries,
    types::{ApiToken, MadeToken, NewToken, Stored, TOKENS, TokenQuery},
};
use crate::{
    app::App,
    db::Json as Column,
    feed::Changes,
    http::{
        auth::{API_TOKEN_PREFIX, Caller, Role, SignedIn, fingerprint},
        body::Body,
        error::{ApiError, ApiResult, OrNotFound as _, Problem},
        etag::{self, Conditions},
        page::{self, Page, Params},
    },
    ids::TokenId,
};

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, remove))
}

/// Makes a token for oneself. The answer is the only place where it is ever shown.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewToken, responses((status = 201, body = MadeToken), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("signed in"))))]
async fn create(who: SignedIn, State(app): State<App>, Body(new): Body<NewToken>) -> ApiResult<Response> {
    let now = app.clock.now();
    new.faults(&who, now).finish()?;
    let NewToken { name, scopes, service_id, service_name, expires_at } = new;
    let secret = format!("{API_TOKEN_PREFIX}{}", app.ids.secret::<32>());
    let (token_id, user_id) = (TokenId(app.ids.next()), who.user_id.clone());
    let scopes = Column(scopes);
    let token = ApiToken { token_id, name, user_id, scopes, service_id, service_name, expires_at, created_at: now };
    let stored = Stored { token, token_hash: fingerprint(&secret) };
    let mut tx = app.db.write().await?;
    queries::insert(&mut tx, &stored).await?;
    let mut changes = Changes::by(who.actor());
    changes.put_quietly(TOKENS, stored.token.token_id.0.clone(), &stored);
    changes.audit(TOKENS.name, stored.token.token_id.as_str(), "create", None, Some(json!(stored.token)));
    app.feed.commit(tx, changes).await?;
    let location = format!("/api/v1/tokens/{}", stored.token.token_id);
    etag::created(&location, MadeToken { token: secret, shown: stored.token })
}

/// Lists one's own tokens, and, for an administrator, everybody's.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(TokenQuery), responses((status = 200, body = Page<ApiToken>), (status = 403, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("signed in"))))]
async fn list(
    who: SignedIn,
    State(app): State<App>,
    Params(query): Params<TokenQuery>,
) -> ApiResult<Json<Page<ApiToken>>> {
    let TokenQuery { user_id, limit, after } = query;
    if who.role != Role::Admin && user_id.as_ref().is_some_and(|user| *user != who.user_id) {
        return Err(ApiError::Forbidden("only an administrator sees the tokens of others".to_owned()));
    }
    let user = if who.role == Role::Admin { user_id } else { Some(who.user_id.clone()) };
    let limit = page::limit(limit)?;
    let after = page::cursor(after.as_deref())?.unwrap_or_else(|| TokenId(String::new()));
    let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let items = queries::page(&mut app.db.read().await?, user.as_ref(), &after, most).await?;
    Ok(Json(Page::new(items, limit, |token| token.token_id.clone())))
}

/// Gives what is to be seen of a token.
#[utoipa::path(get, path = "/tokens/{token_id}", tag = "tokens", params(("token_id" = String, Path)), responses((status = 200, body = ApiToken), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("signed in"))))]
async fn read(
    who: SignedIn,
    State(app): State<App>,
    Path(id): Path<TokenId>,
    conditions: Conditions,
) -> ApiResult<Response> {
    let token = queries::find(&mut app.db.read().await?, &id).await?;
    let token = token.filter(|token| may_see(&who, token)).or_not_found("token")?;
    conditions.answer(&token)
}

/// Ends a token at once: one's own, or, for an administrator, anybody's.
#[utoipa::path(delete, path = "/tokens/{token_id}", tag = "tokens", params(("token_id" = String, Path)), responses((status = 204), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("signed in"))))]
async fn remove(who: SignedIn, State(app): State<App>, Path(id): Path<TokenId>) -> ApiResult<StatusCode> {
    let mut tx = app.db.write().await?;
    let token = queries::delete(&mut tx, &id).await?;
    let token = token.filter(|token| may_see(&who, token)).or_not_found("token")?;
    let mut changes = Changes::by(who.actor());
    changes.delete(TOKENS, id.0, &token);
    app.feed.commit(tx, changes).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn may_see(who: &Caller, token: &ApiToken) -> bool {
    who.role == Role::Admin || token.user_id == who.user_id
}
