//! The other side of a plugin's requests while its cases run: answers on loopback what the case says, and remembers what came.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use http_body_util::{BodyExt as _, Limited};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;

/// Bytes of one request.
const MOST: usize = 1 << 20;

/// An answer, and the request that it is for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canned {
    /// The method; any when absent.
    #[serde(default)]
    method: Option<String>,
    /// The path, with its query.
    path: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Text as it is, anything else as JSON.
    #[serde(default)]
    body: Value,
}

fn ok() -> u16 {
    200
}

/// A request that came.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    /// As JSON if it is, else as text.
    body: Value,
}

/// Listens on loopback.
pub struct Peer {
    listener: TcpListener,
    canned: Vec<Canned>,
    seen: Mutex<Vec<Seen>>,
}

impl Peer {
    pub async fn start(canned: Vec<Canned>) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind("127.0.0.1:0").await?, canned, seen: Mutex::default() })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base(&self) -> String {
        self.listener.local_addr().map_or_else(|_| String::new(), |address| format!("http://{address}"))
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers one connection after the other, until it is dropped.
    pub async fn serve(&self) {
        loop {
            if let Ok((stream, _)) = self.listener.accept().await {
                let service = service_fn(|request| self.answer(request));
                // A plugin that goes away in the middle has its own failure to tell.
                let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
            }
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<String>, Box<dyn std::error::Error + Send + Sync>> {
        let seen = read(request).await?;
        let fits = |canned: &&Canned| {
            canned.path == seen.path && canned.method.as_ref().is_none_or(|method| *method == seen.method)
        };
        let answer = match self.canned.iter().find(fits) {
            Some(Canned { status, headers, body, .. }) => {
                let answer = Response::builder().status(*status);
                let answer = headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value));
                answer.body(text(body))
            }
            None => {
                let none = format!("the case has no answer to {} {}", seen.method, seen.path);
                Response::builder().status(404).body(none)
            }
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        Ok(answer?)
    }
}

fn text(body: &Value) -> String {
    match body {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

async fn read(request: Request<Incoming>) -> Result<Seen, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let own = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let body = Limited::new(body, MOST).collect().await?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Seen {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string),
        headers: head.headers.iter().map(own).collect(),
        body: serde_json::from_str(&body).unwrap_or(Value::String(body)),
    })
}
