//! Entity tags: a read of one thing carries one, `If-None-Match` spares the body, `If-Match` guards a write (RFC 9110).

use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::error::{ApiError, ApiResult};

/// What the caller knows of the thing already.
pub struct Conditions {
    if_match: Option<String>,
    if_none_match: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Conditions {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let text = |headers: &HeaderMap, name| {
            headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).map(str::to_owned)
        };
        Ok(Self {
            if_match: text(&parts.headers, header::IF_MATCH),
            if_none_match: text(&parts.headers, header::IF_NONE_MATCH),
        })
    }
}

/// The tag of a thing: the hash of its JSON.
fn tag(json: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(json)[..12]))
}

fn names(list: &str, tag: &str) -> bool {
    list.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == "*" || one == tag)
}

impl Conditions {
    /// 412 if `If-Match` names another version than `current`.
    pub fn allow_write<T: Serialize>(&self, current: &T) -> ApiResult<()> {
        if self.if_match.is_none() {
            return Ok(());
        }
        let json = serde_json::to_vec(current).map_err(|error| ApiError::Internal(error.into()))?;
        self.allow_write_of(&tag(&json))
    }

    /// 412 if `If-Match` names another version than the one of `tag`.
    pub fn allow_write_of(&self, tag: &str) -> ApiResult<()> {
        let wanted = self.if_match.as_deref().is_none_or(|wanted| names(wanted, tag));
        if wanted { Ok(()) } else { Err(ApiError::PreconditionFailed) }
    }

    /// Whether the write must fail rather than be tried on a newer version.
    pub fn guards_write(&self) -> bool {
        self.if_match.is_some()
    }

    /// The thing with its tag, or 304.
    pub fn answer<T: Serialize>(&self, thing: &T) -> ApiResult<Response> {
        let json = serde_json::to_vec(thing).map_err(|error| ApiError::Internal(error.into()))?;
        let tag = tag(&json);
        self.answer_json(&tag, json)
    }

    /// What is `shown` of a thing, with the tag of the thing alone: what else is shown may change without notice. Or 304.
    pub fn answer_shown<T: Serialize, S: Serialize>(&self, thing: &T, shown: &S) -> ApiResult<Response> {
        let thing = serde_json::to_vec(thing).map_err(|error| ApiError::Internal(error.into()))?;
        self.answer_as(&tag(&thing), shown)
    }

    /// The thing with a tag of its own, which tells less than a hash of it would, or 304.
    pub fn answer_as<T: Serialize>(&self, tag: &str, thing: &T) -> ApiResult<Response> {
        let json = serde_json::to_vec(thing).map_err(|error| ApiError::Internal(error.into()))?;
        self.answer_json(tag, json)
    }

    fn answer_json(&self, tag: &str, json: Vec<u8>) -> ApiResult<Response> {
        let value = HeaderValue::from_str(tag).map_err(|error| ApiError::Internal(error.into()))?;
        if self.if_none_match.as_deref().is_some_and(|known| names(known, tag)) {
            return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, value)]).into_response());
        }
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(([(header::ETAG, value), kind], json).into_response())
    }
}

/// 201 with `Location`.
pub fn created<T: Serialize>(location: &str, thing: T) -> ApiResult<Response> {
    let location = HeaderValue::from_str(location).map_err(|error| ApiError::Internal(error.into()))?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(thing)).into_response())
}
