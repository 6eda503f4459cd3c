//! The typed client of the REST API, for the subcommands and for the agent. It knows no domain, only HTTP; what a server
//! refuses comes back as its problem document, whole.
//!
//! Read on in `types` (what is sent), `error`.

mod error;
mod types;

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use reqwest::{Method, StatusCode, Url, header::CONTENT_TYPE};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub use error::{ClientError, Fault, Problem};
pub use types::{Beat, Measurement, NewNode, Page};

/// How long one request may take, unless it is told otherwise.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// How long a request may take whose body is worked on before it is answered, as a component that is compiled.
const LONG_PATIENCE: std::time::Duration = std::time::Duration::from_secs(300);

/// What a request carries.
enum Payload {
    Json(Value),
    Bytes(&'static str, Bytes),
}

/// How a client proves who it is.
#[derive(Clone)]
pub enum Credentials {
    /// Not at all.
    None,
    /// With an API token or an access token.
    Token(String),
    /// By signing in, and again whenever the session has ended.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
}

/// Speaks to one server as one caller. Clones share the session.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    server: Url,
    credentials: Credentials,
    /// The access token of the last sign-in.
    session: Arc<RwLock<Option<String>>>,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
}

impl Client {
    /// A client of the server at `server`, as `http://HOST:PORT`.
    pub fn new(server: &str, credentials: Credentials) -> Result<Self, ClientError> {
        let url = Url::parse(server).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let server = url.ok_or_else(|| ClientError::Address(server.to_owned()))?;
        // Whoever came first has chosen the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(PATIENCE).build().map_err(ClientError::Unusable)?;
        Ok(Self { http, server, credentials, session: Arc::default() })
    }

    /// The server's address.
    pub fn server(&self) -> &Url {
        &self.server
    }

    /// `/api/v1/…`: each segment is escaped.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        url
    }

    /// Reads a thing.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ClientError> {
        self.send(Method::GET, self.url(path), None).await
    }

    /// Reads a thing that is asked for with a query.
    pub async fn ask<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, String)]) -> Result<T, ClientError> {
        let mut url = self.url(path);
        url.query_pairs_mut().extend_pairs(query);
        self.send(Method::GET, url, None).await
    }

    /// Changes some fields of a thing.
    pub async fn patch(&self, path: &[&str], fields: &Value) -> Result<(), ClientError> {
        self.send::<Value>(Method::PATCH, self.url(path), Some(Payload::Json(fields.clone()))).await.map(drop)
    }

    /// Reads up to `most` things of a list, page by page.
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        filters: &[(String, String)],
        most: usize,
    ) -> Result<Vec<T>, ClientError> {
        let (mut items, mut after) = (Vec::new(), None::<String>);
        while items.len() < most {
            let mut url = self.url(path);
            let limit = (most - items.len()).min(1000).to_string();
            let after_this = after.as_deref().map(|after| ("after", after));
            url.query_pairs_mut()
                .append_pair("limit", &limit)
                .extend_pairs(after_this)
                .extend_pairs(filters.iter().map(|(name, value)| (name, value)));
            let Page { items: more, next } = self.send(Method::GET, url, None).await?;
            items.extend(more);
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        Ok(items)
    }

    /// Creates or does something, whose answer is of no interest.
    pub async fn post(&self, path: &[&str], body: &impl Serialize) -> Result<(), ClientError> {
        self.post_for::<Value>(path, body).await.map(drop)
    }

    /// Creates or does something.
    pub async fn post_for<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, ClientError> {
        let body = serde_json::to_value(body).map_err(ClientError::Body)?;
        self.send(Method::POST, self.url(path), Some(Payload::Json(body))).await
    }

    /// Sends bytes that are no JSON, which may take long to be taken.
    pub async fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &[&str],
        (kind, bytes): (&'static str, Bytes),
    ) -> Result<T, ClientError> {
        self.send(Method::POST, self.url(path), Some(Payload::Bytes(kind, bytes))).await
    }

    /// Registers a node, or renews what is known of it.
    pub async fn register_node(&self, node: &NewNode) -> Result<(), ClientError> {
        self.post(&["nodes"], node).await
    }

    /// Says that a node is there.
    pub async fn beat_node(&self, node_id: &str) -> Result<Beat, ClientError> {
        match self.post(&["nodes", node_id, "heartbeat"], &json!({})).await {
            Ok(()) => Ok(Beat::Known),
            Err(ClientError::Refused(problem)) if problem.status == 404 => Ok(Beat::Unknown),
            Err(error) => Err(error),
        }
    }

    /// Sends samples. If some are refused, that is an error with the index of each, and the others are kept.
    pub async fn send_samples(&self, samples: &[Measurement]) -> Result<(), ClientError> {
        self.post(&["metrics"], &json!({"samples": samples})).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<Payload>,
    ) -> Result<T, ClientError> {
        let token = self.token(false).await?;
        let answered = self.once(method.clone(), url.clone(), body.as_ref(), token.as_deref()).await;
        match (answered, &self.credentials) {
            (Err(ClientError::Refused(problem)), Credentials::Password { .. }) if problem.status == 401 => {
                let token = self.token(true).await?;
                self.once(method, url, body.as_ref(), token.as_deref()).await
            }
            (answered, _) => answered,
        }
    }

    /// The token to send; `anew` signs in though there is a session.
    async fn token(&self, anew: bool) -> Result<Option<String>, ClientError> {
        let (username, password) = match &self.credentials {
            Credentials::None => return Ok(None),
            Credentials::Token(token) => return Ok(Some(token.clone())),
            Credentials::Password { username, password } => (username, password),
        };
        let known = self.session.read().unwrap_or_else(PoisonError::into_inner).clone();
        if known.is_some() && !anew {
            return Ok(known);
        }
        let login = json!({"username": username, "password": password});
        let login = Payload::Json(login);
        let Tokens { access_token } = self.once(Method::POST, self.url(&["auth", "login"]), Some(&login), None).await?;
        *self.session.write().unwrap_or_else(PoisonError::into_inner) = Some(access_token.clone());
        Ok(Some(access_token))
    }

    async fn once<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&Payload>,
        token: Option<&str>,
    ) -> Result<T, ClientError> {
        let mut request = self.http.request(method, url.clone());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request = match body {
            None => request,
            Some(Payload::Json(body)) => request.json(body),
            Some(Payload::Bytes(kind, bytes)) => {
                request.header(CONTENT_TYPE, *kind).body(bytes.clone()).timeout(LONG_PATIENCE)
            }
        };
        let unreachable = |cause| ClientError::Unreachable { server: self.server.to_string(), cause };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        if !status.is_success() {
            return Err(ClientError::Refused(Box::new(error::problem(status, &bytes))));
        }
        // 204 says nothing, which reads as null.
        let text: &[u8] = if status == StatusCode::NO_CONTENT || bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text).map_err(|cause| ClientError::Answer { url: url.to_string(), cause })
    }
}
