//! `Idempotency-Key` on `POST`: a request that is sent again within 24 hours is answered as the first one was, and not done twice.
//!
//! The key belongs to the caller and the path. With it stands a code of query and body, so that another request under the
//! same key is refused. A request runs to its end even when its caller has gone: that is when it will be sent again. While it
//! runs its claim on the key is renewed, so that it is not run beside itself, however long it takes. This layer never
//! keeps an answer that shows a secret (the router says which paths those are), nor one that says nothing about the request
//! itself (401, 403, 429 and 5xx); a body or an answer past the limit is passed through without a key.

mod queries;
mod running;
mod stream;

use std::{collections::BTreeMap, future::Future, panic::AssertUnwindSafe, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequestParts as _, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    auth::{Auth, Caller},
    error::{ApiError, ApiResult, Faults},
    request::RequestIdOf as _,
};
use crate::{
    clock::{Clock, Timestamp},
    db::{self, Db},
    lifecycle::Tasks,
};
use queries::{Answer, Claim, Row};
use stream::{Gathered, gather};

pub(crate) use queries::STATEMENTS;
pub use running::Running;

/// The header that carries the key.
pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is that of an earlier request.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

const LONGEST_KEY: usize = 200;
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// A request without an answer counts as running for this long after its claim was last renewed; after that its process is
/// taken to have ended.
const RUNNING: Duration = Duration::from_secs(60);
/// How often the claim of a request that runs is renewed.
const RENEW: Duration = Duration::from_secs(15);
const KEPT_HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::LOCATION, header::ETAG];

/// What honours keys.
#[derive(Clone)]
pub struct Layer {
    /// Where answers are kept.
    pub db: Db,
    /// Dates them.
    pub clock: Clock,
    /// Knows whose a key is.
    pub auth: Auth,
    /// Runs what its caller may leave.
    pub tasks: Tasks,
    /// What runs here.
    pub running: Running,
    /// The largest body, of a request or an answer, that is kept; in bytes.
    pub limit: usize,
    /// Whether the answers of a path show secrets.
    pub exempt: fn(&str) -> bool,
}

/// The layer around the API.
pub async fn around(State(layer): State<Layer>, request: Request, next: Next) -> Response {
    let keyed = request.method() == Method::POST && request.headers().contains_key(&KEY);
    if !keyed || (layer.exempt)(request.uri().path()) {
        return next.run(request).await;
    }
    honour(layer, request, next).await.unwrap_or_else(ApiError::into_response)
}

/// Deletes what is older than a day.
pub async fn prune(db: &Db, clock: &Clock) -> anyhow::Result<()> {
    let before = clock.settled()?.minus(KEEP);
    let mut tx = db.write().await?;
    queries::prune(&mut tx, before).await?;
    Ok(tx.commit().await?)
}

async fn honour(layer: Layer, request: Request, next: Next) -> ApiResult<Response> {
    let (mut parts, body) = request.into_parts();
    let Ok(caller) = Caller::from_request_parts(&mut parts, &layer.auth).await else {
        // Nobody's key: the handler answers that.
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let key = key(&parts)?;
    let bytes = match gather(body, layer.limit).await.map_err(|error| unreadable(&error))? {
        Gathered::Whole(bytes) => bytes,
        Gathered::Larger(body) => return Ok(next.run(Request::from_parts(parts, body)).await),
    };
    let claim = Claim {
        key_hash: hash_of_key(&caller, &parts, &key),
        body_hash: code_of_body(&layer.auth, &parts, &bytes),
        at: layer.clock.now(),
    };
    let stored = match layer.running.body_of(&claim.key_hash) {
        Some(body_hash) => Some(Row::running(body_hash)),
        None => take(&layer, &claim).await?,
    };
    match stored {
        None => run(layer, claim, Request::from_parts(parts, Body::from(bytes)), next).await,
        Some(Row { body_hash, .. }) if body_hash != claim.body_hash => {
            Err(Faults::one("/Idempotency-Key", "was used for another request").into())
        }
        Some(Row { status: Some(status), headers, body, .. }) => {
            let headers = headers.map(|kept| kept.0).unwrap_or_default();
            replay(Answer { status, headers, body: body.unwrap_or_default() }, &parts)
        }
        Some(Row { status: None, .. }) => {
            let running = ApiError::Conflict("the first request with this Idempotency-Key still runs".to_owned());
            let mut response = running.into_response();
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            Ok(response)
        }
    }
}

fn key(parts: &Parts) -> ApiResult<String> {
    let mut sent = parts.headers.get_all(&KEY).iter();
    let key = sent.next().filter(|_| sent.next().is_none()).and_then(|key| key.to_str().ok());
    let fits = |key: &&str| (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|b| (b' '..=b'~').contains(&b));
    let message = "must be one text of 1 to 200 printable ASCII characters";
    key.filter(fits).map(str::to_owned).ok_or_else(|| Faults::one("/Idempotency-Key", message).into())
}

fn hash_of_key(caller: &Caller, parts: &Parts, key: &str) -> String {
    // No part but the last can hold a line break.
    let text = format!("{}\n{}\n{}\n{key}", caller.actor().name, parts.method, parts.uri.path());
    hex::encode(Sha256::digest(text))
}

/// Keyed, so that nobody can try passwords on the code of a body that held one.
fn code_of_body(auth: &Auth, parts: &Parts, body: &[u8]) -> String {
    let mut code = Hmac::<Sha256>::new_from_slice(auth.key()).expect("a key of any length will do");
    code.update(b"looma idempotency\0");
    code.update(parts.uri.query().unwrap_or("").as_bytes());
    code.update(b"\0");
    code.update(body);
    hex::encode(code.finalize().into_bytes())
}

/// Takes the key, or gives what is stored under it.
async fn take(layer: &Layer, claim: &Claim) -> db::Result<Option<Row>> {
    // By a clock that ran ahead nothing is old: better a key too many than a request run twice.
    let old = |age| layer.clock.settled().map_or(Timestamp::MIN, |now| now.minus(age));
    let mut tx = layer.db.write().await?;
    let taken = queries::claim(&mut tx, claim, old(KEEP), old(RUNNING)).await?;
    let stored = if taken { None } else { queries::find(&mut tx, &claim.key_hash).await? };
    tx.commit().await?;
    Ok(stored)
}

/// Runs the request and keeps its answer, even if the caller is gone by then.
async fn run(layer: Layer, mut claim: Claim, request: Request, next: Next) -> ApiResult<Response> {
    let (send, answer) = oneshot::channel();
    let tasks = layer.tasks.clone();
    let held = layer.running.hold(&claim);
    tasks.detach("http.idempotent", async move {
        let work = async { worth_keeping(&layer, next.run(request).await).await };
        let ran = match AssertUnwindSafe(renewing(&layer, &mut claim, work)).catch_unwind().await {
            Ok((kept, response)) => {
                settle(&layer, &claim, kept).await;
                Ok(response)
            }
            Err(panic) => {
                settle(&layer, &claim, None).await;
                Err(panic)
            }
        };
        drop(held);
        // Nobody takes it when the caller is gone.
        drop(send.send(ran));
    });
    match answer.await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => Err(ApiError::Internal(error.into())),
    }
}

/// Does `work`, and renews the claim while it lasts. The two never wait for each other but at the end: a renewal that has
/// begun is ended, so that the claim is known to be the one that is stored.
async fn renewing<T>(layer: &Layer, claim: &mut Claim, work: impl Future<Output = T>) -> T {
    let done = CancellationToken::new();
    let work = async {
        let made = work.await;
        done.cancel();
        made
    };
    let renewals = async {
        loop {
            tokio::select! {
                () = done.cancelled() => return,
                () = layer.clock.sleep(RENEW) => {}
            }
            renew(layer, claim).await;
        }
    };
    tokio::join!(work, renewals).0
}

async fn renew(layer: &Layer, claim: &mut Claim) {
    let at = layer.clock.now();
    match write_renewal(layer, claim, at).await {
        Ok(true) => claim.at = at,
        Ok(false) => tracing::warn!("a request that runs has lost the claim on its idempotency key"),
        Err(error) => tracing::warn!(%error, "could not renew the claim on an idempotency key"),
    }
}

async fn write_renewal(layer: &Layer, claim: &Claim, at: Timestamp) -> db::Result<bool> {
    let mut tx = layer.db.write().await?;
    let renewed = queries::renew(&mut tx, claim, at).await?;
    tx.commit().await?;
    Ok(renewed)
}

/// The answer, and what of it is to be kept: what says something about the request itself.
async fn worth_keeping(layer: &Layer, response: Response) -> (Option<Answer>, Response) {
    let (parts, body) = response.into_parts();
    let (answer, body) = match gather(body, layer.limit).await {
        Ok(Gathered::Whole(bytes)) if tells_of_the_request(parts.status) => {
            let headers = KEPT_HEADERS.iter().filter_map(|name| Some((name, parts.headers.get(name)?.to_str().ok()?)));
            let headers: BTreeMap<_, _> = headers.map(|(name, value)| (name.to_string(), value.to_owned())).collect();
            let status = i64::from(parts.status.as_u16());
            (Some(Answer { status, headers, body: bytes.to_vec() }), Body::from(bytes))
        }
        Ok(Gathered::Whole(bytes)) => (None, Body::from(bytes)),
        Ok(Gathered::Larger(body)) => (None, body),
        Err(error) => return (None, ApiError::Internal(error.into()).into_response()),
    };
    (answer, Response::from_parts(parts, body))
}

/// Writes how it ended. What cannot be written leaves the key as if the process had ended: it runs out.
async fn settle(layer: &Layer, claim: &Claim, answer: Option<Answer>) {
    let write = async {
        let mut tx = layer.db.write().await?;
        match &answer {
            Some(answer) => queries::finish(&mut tx, claim, answer).await?,
            None => queries::release(&mut tx, claim).await?,
        }
        tx.commit().await
    };
    if let Err(error) = write.await {
        tracing::warn!(%error, "could not keep an answer for its idempotency key");
    }
}

fn tells_of_the_request(status: StatusCode) -> bool {
    let elsewhere = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
    !status.is_server_error() && !elsewhere.contains(&status)
}

fn replay(answer: Answer, parts: &Parts) -> ApiResult<Response> {
    let Answer { status, headers, mut body } = answer;
    if headers.get("content-type").is_some_and(|kind| kind == "application/problem+json") {
        body = finished(&body, parts)?;
    }
    let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in KEPT_HEADERS.iter().filter_map(|name| Some((name, headers.get(name.as_str())?))) {
        let value = HeaderValue::from_str(value).map_err(|error| ApiError::Internal(error.into()))?;
        response.headers_mut().insert(name, value);
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// A problem was kept before it knew path and request id: it gets those of the request at hand.
fn finished(problem: &[u8], parts: &Parts) -> ApiResult<Vec<u8>> {
    let internal = |error: serde_json::Error| ApiError::Internal(error.into());
    let mut problem: serde_json::Map<String, Value> = serde_json::from_slice(problem).map_err(internal)?;
    problem.insert("instance".to_owned(), parts.uri.path().into());
    problem.insert("request_id".to_owned(), parts.request_id().0.into());
    serde_json::to_vec(&problem).map_err(internal)
}

fn unreadable(error: &axum::Error) -> ApiError {
    ApiError::Malformed(Faults::one("", format!("could not read the body: {error}")))
}
