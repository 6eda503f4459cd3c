//! `ApiError`: the one error at the edge, answered as RFC 9457 `application/problem+json`.
//!
//! A cause is logged once, here, with the request id, and never sent.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Scope;
use crate::{clock::Timestamp, db, feed};

/// What a handler answers.
pub type ApiResult<T> = Result<T, ApiError>;

/// One fault of a request: where, as an RFC 6901 JSON pointer into the body or `/name` of a parameter, and what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// The place.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

/// Every fault that was found in a request.
#[derive(Clone, Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Just one.
    pub fn one(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![Fault { pointer: pointer.into(), message: message.into() }])
    }

    /// One more.
    pub fn add(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { pointer: pointer.into(), message: message.into() });
    }

    /// One more unless `good`.
    pub fn check(&mut self, good: bool, pointer: &str, message: impl FnOnce() -> String) {
        if !good {
            self.add(pointer, message());
        }
    }

    /// A text of `1..=max` characters, without control characters (a line break or tab is one).
    pub fn name(&mut self, pointer: &str, text: &str, max: usize) {
        if text.trim().is_empty() {
            self.add(pointer, "must not be empty");
        } else if text.chars().count() > max {
            self.add(pointer, format!("must have at most {max} characters, has {}", text.chars().count()));
        } else if text.chars().any(char::is_control) {
            self.add(pointer, "must not hold control characters");
        }
    }

    /// A text of at most `max` characters, empty allowed, line breaks allowed, no NUL.
    pub fn text(&mut self, pointer: &str, text: &str, max: usize) {
        if text.chars().count() > max {
            self.add(pointer, format!("must have at most {max} characters, has {}", text.chars().count()));
        } else if text.contains('\0') {
            self.add(pointer, "must not hold the character NUL");
        }
    }

    /// Moves another list here, each pointer behind `prefix`.
    pub fn under(&mut self, prefix: &str, other: Self) {
        self.0.extend(
            other
                .0
                .into_iter()
                .map(|Fault { pointer, message }| Fault { pointer: format!("{prefix}{pointer}"), message }),
        );
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The list.
    pub fn into_vec(self) -> Vec<Fault> {
        self.0
    }

    /// `Err` if anything is wrong.
    pub fn finish(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub enum ApiError {
    /// 400: not understood.
    Malformed(Faults),
    /// 401: who are you.
    Unauthorized(&'static str),
    /// 403: not yours.
    Forbidden(String),
    /// 404, with the kind of thing that is not there.
    NotFound(String),
    /// 405.
    MethodNotAllowed,
    /// 408: the body did not arrive in time.
    Timeout,
    /// 409.
    Conflict(String),
    /// 412: `If-Match` named another version.
    PreconditionFailed,
    /// 413.
    TooLarge(String),
    /// 415.
    UnsupportedMediaType(String),
    /// 422: understood but wrong.
    Invalid(Faults),
    /// 429, and after how many seconds to try again.
    TooManyRequests(u64),
    /// 503, why, and after how many seconds to try again.
    Unavailable(String, u64),
    /// 500: the cause is for the log.
    Internal(anyhow::Error),
}

impl ApiError {
    /// 403 for a token that is bound to another service.
    pub fn bound_elsewhere() -> Self {
        Self::Forbidden("this token is bound to another service".to_owned())
    }

    /// 503, if that is what an error of the database comes to.
    pub fn unavailable(error: &db::DbError) -> Option<Self> {
        if db::is_pool_timeout(error) {
            return Some(Self::Unavailable("the database is busy".to_owned(), 1));
        }
        feed::is_behind(error).then(|| Self::Unavailable("this replica was away for too long and ends".to_owned(), 1))
    }

    /// 403 for a token without a scope, or a role that does not have it.
    pub fn missing_scope(scope: Scope) -> Self {
        Self::Forbidden(format!("this needs {scope:?}, which you do not have", scope = scope.as_str()))
    }
}

/// The body of every error: RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A URI for this kind of problem; `about:blank` says that the status is all there is to it.
    pub r#type: &'static str,
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Names this request in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Every fault of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
}

/// What the request layer needs to finish a problem: it alone knows path and request id.
#[derive(Clone)]
pub(super) struct Unfinished(pub(super) std::sync::Arc<Problem>, pub(super) Option<std::sync::Arc<anyhow::Error>>);

/// How a surface that speaks another protocol words its errors: put among the extensions of its answers.
#[derive(Clone, Copy)]
pub struct Shape(pub fn(&Told<'_>) -> Shaped);

/// What there is to be told of an error.
pub struct Told<'a> {
    /// The problem.
    pub problem: &'a Problem,
    /// The path that was asked for.
    pub path: &'a str,
    /// Now.
    pub at: Timestamp,
}

/// An error in the words of another protocol.
pub struct Shaped {
    /// The status.
    pub status: u16,
    /// What the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Told<'_> {
    /// Everything that is wrong, in one line.
    pub fn summary(&self) -> String {
        let one = |fault: &Fault| match fault.pointer.trim_start_matches('/') {
            "" => fault.message.clone(),
            name => format!("{name} {}", fault.message),
        };
        match self.problem.errors.as_slice() {
            [] => self.problem.detail.clone(),
            faults => faults.iter().map(one).collect::<Vec<_>>().join("; "),
        }
    }
}

impl IntoResponse for Shaped {
    fn into_response(self) -> Response {
        let Self { status, content_type, body } = self;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
    }
}

impl Problem {
    fn new(status: StatusCode, detail: String, errors: Vec<Fault>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { r#type: "about:blank", title, status: status.as_u16(), detail, instance: None, request_id: None, errors }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (mut retry, mut cause) = (None, None);
        let (status, detail, errors) = match self {
            Self::Malformed(faults) => {
                (StatusCode::BAD_REQUEST, summary(&faults, "the request is malformed"), faults.0)
            }
            Self::Unauthorized(why) => (StatusCode::UNAUTHORIZED, why.to_owned(), Vec::new()),
            Self::Forbidden(why) => (StatusCode::FORBIDDEN, why, Vec::new()),
            Self::NotFound(what) => (StatusCode::NOT_FOUND, format!("no such {what}"), Vec::new()),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method".to_owned(), Vec::new())
            }
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".to_owned(), Vec::new()),
            Self::Conflict(why) => (StatusCode::CONFLICT, why, Vec::new()),
            Self::PreconditionFailed => {
                (StatusCode::PRECONDITION_FAILED, "it has changed since you read it".to_owned(), Vec::new())
            }
            Self::TooLarge(why) => (StatusCode::PAYLOAD_TOO_LARGE, why, Vec::new()),
            Self::UnsupportedMediaType(why) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, why, Vec::new()),
            Self::Invalid(faults) => {
                (StatusCode::UNPROCESSABLE_ENTITY, summary(&faults, "the request is not valid"), faults.0)
            }
            Self::TooManyRequests(after) => {
                retry = Some(after);
                (StatusCode::TOO_MANY_REQUESTS, format!("too many requests: try again in {after} s"), Vec::new())
            }
            Self::Unavailable(why, after) => {
                retry = Some(after);
                (StatusCode::SERVICE_UNAVAILABLE, why, Vec::new())
            }
            Self::Internal(error) => {
                cause = Some(std::sync::Arc::new(error));
                (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here: the log has it".to_owned(), Vec::new())
            }
        };
        let problem = Problem::new(status, detail, errors);
        let mut response = (status, Json(&problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(after) = retry {
            headers.insert(header::RETRY_AFTER, after.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Unfinished(std::sync::Arc::new(problem), cause));
        response
    }
}

fn summary(faults: &Faults, what: &str) -> String {
    match faults.0.as_slice() {
        [one] if one.pointer.is_empty() => format!("{what}: {}", one.message),
        [one] => format!("{what}: {} {}", one.pointer, one.message),
        more => format!("{what}: {} faults", more.len()),
    }
}

impl From<Faults> for ApiError {
    fn from(faults: Faults) -> Self {
        Self::Invalid(faults)
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<db::DbError>() {
            Ok(error) => error.into(),
            Err(error) => Self::Internal(error),
        }
    }
}

impl From<db::DbError> for ApiError {
    fn from(error: db::DbError) -> Self {
        if db::is_conflict(&error) {
            return Self::Conflict("something with that name is there already".to_owned());
        }
        if db::is_broken_reference(&error) {
            return Self::Conflict(
                "something that this refers to is not there, or something still refers to it".to_owned(),
            );
        }
        if db::is_unstorable_text(&error) {
            return Self::Malformed(Faults::one("", "a text holds the character NUL"));
        }
        Self::unavailable(&error)
            .unwrap_or_else(|| Self::Internal(anyhow::Error::new(error).context("a statement failed")))
    }
}

impl From<db::Overloaded> for ApiError {
    fn from(_: db::Overloaded) -> Self {
        Self::Unavailable("too many writes are waiting".to_owned(), 1)
    }
}

/// Makes a value that is not there an answer.
pub trait OrNotFound<T> {
    /// 404 naming `what`.
    fn or_not_found(self, what: &str) -> ApiResult<T>;
}

impl<T> OrNotFound<T> for Option<T> {
    fn or_not_found(self, what: &str) -> ApiResult<T> {
        self.ok_or_else(|| ApiError::NotFound(what.to_owned()))
    }
}
