//! HTTP of Consul's clients: what stands before every path.

use axum::{Router, extract::Request, http::header, middleware, middleware::Next, response::Response};

use super::{agent, catalog};
use crate::{
    app::App,
    gateway::{fields::Fields, routes::bearer},
    http::error::{ApiError, Shape, Shaped, Told},
};

pub fn routes() -> Router<App> {
    agent::handlers().merge(catalog::handlers()).route_layer(middleware::from_fn(admit)).route_layer(
        middleware::map_response(async |mut response: Response| {
            response.extensions_mut().insert(Shape(shaped));
            response
        }),
    )
}

/// An error as Consul words it: a line of text.
fn shaped(told: &Told<'_>) -> Shaped {
    let (status, body) = match told.problem.status {
        401 | 403 => (403, format!("Permission denied: {}", told.summary())),
        422 => (400, told.summary()),
        status => (status, told.summary()),
    };
    Shaped { status, content_type: "text/plain; charset=utf-8", body }
}

/// Finds the token, wherever the client has put it, and puts it where every handler looks for it.
async fn admit(request: Request, next: Next) -> Response {
    use axum::response::IntoResponse as _;
    let (mut parts, body) = request.into_parts();
    let sent = parts.headers.get("x-consul-token").and_then(|token| token.to_str().ok()).map(str::to_owned);
    let has_bearer =
        parts.headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"Bearer "));
    let asked = || match has_bearer {
        true => None,
        false => Fields::read(parts.uri.query().unwrap_or_default()).get("token").map(str::to_owned),
    };
    let token = sent.filter(|token| !token.is_empty()).or_else(asked);
    let shown: Result<(), ApiError> = token.map_or(Ok(()), |token| bearer(&mut parts, &token));
    match shown {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => error.into_response(),
    }
}
