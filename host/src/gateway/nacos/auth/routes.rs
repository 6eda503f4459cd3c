//! HTTP of signing in, and what stands before every other path.

use axum::{
    Json, Router,
    extract::{FromRequestParts as _, Request, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
    routing::post,
};
use serde_json::{Value, json};

use super::Door;
use crate::{
    app::App,
    gateway::{fields::Fields, routes::bearer},
    http::{
        auth::{API_TOKEN_PREFIX, Caller, Grant, Role, Source, Subject},
        body,
        error::{ApiError, ApiResult},
    },
};

/// Where one signs in, from different times of Nacos.
pub const SIGN_IN: [&str; 2] = ["/auth/login", "/auth/users/login"];

pub fn routes(door: &Door) -> Router<App> {
    let [first, second] = SIGN_IN;
    Router::new().route(first, post(login)).route(second, post(login)).layer(axum::Extension(door.clone()))
}

/// Reads the query and, where there is one, the form.
pub async fn fields(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let read = Fields::read(parts.uri.query().unwrap_or_default());
    if !is_form(&parts.headers) {
        parts.extensions.insert(read);
        return next.run(Request::from_parts(parts, body)).await;
    }
    match body::whole(Request::from_parts(parts.clone(), body), &()).await {
        Ok(bytes) => {
            parts.extensions.insert(read.and(Fields::read(&String::from_utf8_lossy(&bytes))));
            next.run(Request::from_parts(parts, axum::body::Body::empty())).await
        }
        Err(error) => error.into_response(),
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

/// Finds the token, wherever the client has put it, and puts it where every handler looks for it.
pub async fn admit(State(door): State<Door>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match show(&door, &mut parts).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => error.into_response(),
    }
}

/// What a client proves itself with beside the header that everybody uses.
enum Proof {
    Token(String),
    Password(String, String),
    None,
}

fn proof(parts: &Parts) -> Proof {
    let fields = parts.extensions.get::<Fields>();
    let field = |name| fields.and_then(|fields| fields.get(name)).map(str::to_owned);
    let header = || parts.headers.get("accessToken")?.to_str().ok().map(str::to_owned);
    if let Some(token) = field("accessToken").or_else(header) {
        return Proof::Token(token);
    }
    match (field("username"), field("password")) {
        (Some(name), Some(password)) if !parts.headers.contains_key(header::AUTHORIZATION) => {
            Proof::Password(name, password)
        }
        _ => Proof::None,
    }
}

async fn show(door: &Door, parts: &mut Parts) -> ApiResult<()> {
    let (username, password) = match proof(parts) {
        Proof::Token(token) => return bearer(parts, &token),
        Proof::None => return Ok(()),
        Proof::Password(username, password) => (username, password),
    };
    let token = door.token(source(parts).await, &username, &password).await?;
    bearer(parts, &token)?;
    // The session of a remembered sign-in may have been ended meanwhile.
    if Caller::from_request_parts(parts, &door.app).await.is_err() && door.forget(&token) {
        let token = door.token(source(parts).await, &username, &password).await?;
        bearer(parts, &token)?;
    }
    Ok(())
}

async fn source(parts: &mut Parts) -> Source {
    match Source::from_request_parts(parts, &()).await {
        Ok(source) => source,
        Err(never) => match never {},
    }
}

/// Signs in; the token is good for `tokenTtl` seconds.
async fn login(axum::Extension(door): axum::Extension<Door>, request: Request) -> ApiResult<Response> {
    let (mut parts, body) = request.into_parts();
    let fields = parts.extensions.get::<Fields>().cloned().unwrap_or_default();
    // Some send the form without saying that it is one.
    let rest = body::whole(Request::from_parts(parts.clone(), body), &()).await?;
    let fields = fields.and(Fields::read(&String::from_utf8_lossy(&rest)));
    let (username, password) = (fields.need("username")?, fields.need("password")?);
    let Grant { access_token, seconds, role } = match password.starts_with(API_TOKEN_PREFIX) {
        true => with_token(&door, &mut parts, password).await?,
        false => {
            let source = source(&mut parts).await;
            let grant = (door.sign_in)(door.app.clone(), source, username.to_owned(), password.to_owned()).await;
            grant.map_err(|error| match error {
                ApiError::Unauthorized(_) => ApiError::Forbidden("unknown user!".to_owned()),
                other => other,
            })?
        }
    };
    let body: Value = json!({"accessToken": access_token, "tokenTtl": seconds, "globalAdmin": role == Role::Admin, "username": username});
    let mut response = Json(body).into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("Bearer {access_token}")) {
        response.headers_mut().insert(header::AUTHORIZATION, value);
    }
    Ok(response)
}

/// An API token in the place of the password: it is the access token too.
async fn with_token(door: &Door, parts: &mut Parts, token: &str) -> ApiResult<Grant> {
    bearer(parts, token)?;
    let caller = Caller::from_request_parts(parts, &door.app).await?;
    let day = 24 * 3600;
    let left = match &caller.subject {
        Subject::Token(known) => known.expires_at.map(|at| at.since(door.app.clock.now()).as_secs()),
        Subject::Session(_) => None,
    };
    let seconds = left.and_then(|left| i64::try_from(left).ok()).map_or(day, |left| left.min(day));
    Ok(Grant { access_token: token.to_owned(), seconds, role: caller.role })
}
