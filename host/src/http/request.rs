//! What surrounds every request: its id, one log line, counters, security headers, and the end of a problem document.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    auth,
    error::{Problem, Shape, Told, Unfinished},
};
use crate::{
    clock::Clock,
    feed::Feed,
    ids::{Ids, RequestId},
};

/// Names the request in answers and logs.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The revision that an answer rests on, or an older one.
pub const REVISION: HeaderName = HeaderName::from_static("x-looma-revision");

/// Bounds of the latency histogram, in seconds.
const BOUNDS: [f64; 10] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// What the request layer needs.
#[derive(Clone)]
pub struct Layer {
    /// Makes request ids.
    pub ids: Ids,
    /// Measures.
    pub clock: Clock,
    /// For the revision header.
    pub feed: Feed,
    /// Counts.
    pub counts: Counts,
    /// Whether the answers of a path show secrets.
    pub shows_secrets: fn(&str) -> bool,
}

/// Requests by method, route and status, for `/metrics`.
#[derive(Clone, Default)]
pub struct Counts(Arc<Mutex<BTreeMap<Route, Histogram>>>);

/// Method, path as the router knows it, and status.
type Route = (String, String, u16);

#[derive(Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Counts {
    fn add(&self, method: &str, route: &str, status: u16, seconds: f64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = counts.entry((method.to_owned(), route.to_owned(), status)).or_default();
        histogram.count += 1;
        histogram.sum += seconds;
        for (bucket, bound) in histogram.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
    }

    /// The Prometheus text format, version 0.0.4.
    pub fn render(&self, out: &mut String) {
        out.push_str("# HELP looma_http_request_duration_seconds How long requests took.\n");
        out.push_str("# TYPE looma_http_request_duration_seconds histogram\n");
        for ((method, route, status), h) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
            let name = "looma_http_request_duration_seconds";
            for (bucket, bound) in h.buckets.iter().zip(BOUNDS) {
                let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {bucket}");
            }
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", h.count);
            let _ = writeln!(out, "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {}", h.sum, h.count);
        }
    }
}

/// Gives a request its id, where the layer has run.
pub trait RequestIdOf {
    /// The id of this request.
    fn request_id(&self) -> RequestId;
}

impl RequestIdOf for Parts {
    fn request_id(&self) -> RequestId {
        self.extensions.get::<RequestId>().cloned().unwrap_or_else(|| RequestId(String::new()))
    }
}

/// The outermost layer.
pub async fn around(State(layer): State<Layer>, request: Request, next: Next) -> Response {
    let began = layer.clock.uptime();
    let (mut parts, body) = request.into_parts();
    let sent = parts.headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| is_plain(id));
    let id = sent.map_or_else(|| RequestId(layer.ids.next()), RequestId::from);
    parts.extensions.insert(id.clone());
    let route = parts.extensions.get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let (method, path, source) = (parts.method.clone(), parts.uri.path().to_owned(), auth::source(&parts));
    let secret = (layer.shows_secrets)(&path);
    // A read rests on this revision or on a later one; a write names its own.
    let before = layer.feed.head();
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let took = layer.clock.uptime().saturating_sub(began);
    let status = response.status().as_u16();
    layer.counts.add(counted(&method), &route, status, took.as_secs_f64());
    let duration_ms = took.as_secs_f64() * 1000.0;
    tracing::debug!(request.id = %id, %method, path, status, duration_ms, %source, "{method} {path} {status}");
    if let Some(Unfinished(problem, cause)) = response.extensions_mut().remove::<Unfinished>() {
        if let Some(cause) = cause {
            tracing::error!(request.id = %id, %method, path, error = format!("{cause:#}"), "{method} {path} failed");
        }
        response = match response.extensions_mut().remove::<Shape>() {
            Some(Shape(shape)) => {
                shape(&Told { problem: &problem, path: &path, at: layer.clock.now() }).into_response()
            }
            None => finish(response, &problem, path, &id),
        };
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    headers.entry(REVISION).or_insert_with(|| if method.is_safe() { before } else { layer.feed.head() }.0.into());
    guard(headers, secret);
    response
}

/// Keeps a browser from making of an answer what it is not, and from storing what is secret. A page brings its own policy.
fn guard(headers: &mut HeaderMap, secret: bool) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
        let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(nothing);
    }
    if secret {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// A method as it is counted: anybody can send any word as one.
fn counted(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Puts path and request id into a problem that did not know them.
fn finish(response: Response, problem: &Problem, path: String, id: &RequestId) -> Response {
    let Problem { r#type, title, status, ref detail, instance: _, request_id: _, ref errors } = *problem;
    let whole = Problem {
        r#type,
        title,
        status,
        detail: detail.clone(),
        instance: Some(path),
        request_id: Some(id.to_string()),
        errors: errors.clone(),
    };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let mut finished = Json(whole).into_response();
    *finished.status_mut() = parts.status;
    for (name, value) in &parts.headers {
        finished.headers_mut().insert(name, value.clone());
    }
    finished
}

/// What is taken over from a caller's own request id: it goes into logs and answers as it is.
fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
