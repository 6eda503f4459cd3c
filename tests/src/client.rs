//! A client that sends JSON and looks at what comes back.

use reqwest::{Method, header::HeaderMap};
use serde_json::Value;

/// Speaks to one server as one caller.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as it came.
    pub bytes: Vec<u8>,
    /// The body as JSON; null if it is none.
    pub json: Value,
    asked: String,
}

impl Answer {
    /// The JSON, if the status is this one; fails with the whole answer if it is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, String::from_utf8_lossy(&self.bytes));
        self.json
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The pointers of a problem's faults, in order.
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|fault| fault["pointer"].as_str()).collect()
    }
}

impl Client {
    /// A client of `base` that sends `token`.
    pub fn new(base: String, token: Option<String>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { http: reqwest::Client::new(), base, token }
    }

    /// The token that it sends.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The address that it speaks to.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request to be added to; a path that begins with `/api` or `/readyz` and the like is taken as it is, others stand
    /// under `/api/v1`.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let root = ["/api/", "/healthz", "/readyz", "/metrics-text", "/ofrep", "/nacos", "/consul", "/v1/"];
        let path = match path {
            "/metrics-text" => "/metrics".to_owned(),
            path if root.iter().any(|root| path.starts_with(root)) => path.to_owned(),
            path => format!("/api/v1{path}"),
        };
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request that `request` began.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.try_send(request).await.expect("the server answers")
    }

    /// As `send`; `None` when the server is gone.
    async fn try_send(&self, request: reqwest::RequestBuilder) -> Option<Answer> {
        let request = request.build().expect("the request is whole");
        let asked = format!("{} {}", request.method(), request.url());
        let response = self.http.execute(request).await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.ok()?.to_vec();
        let json = serde_json::from_slice(&bytes).unwrap_or_default();
        Some(Answer { status, headers, bytes, json, asked })
    }

    /// `GET`; `None` when the server is gone before it has answered.
    pub async fn try_get(&self, path: &str) -> Option<Answer> {
        self.try_send(self.request(Method::GET, path)).await
    }

    /// `POST` with a JSON body; `None` when the server is gone before it has answered.
    pub async fn try_post(&self, path: &str, body: &Value) -> Option<Answer> {
        self.try_send(self.request(Method::POST, path).json(body)).await
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// `PUT` with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// `PATCH` with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// `POST` with a body of any kind.
    pub async fn post_bytes(&self, path: &str, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.send(self.request(Method::POST, path).header("content-type", kind).body(body.into())).await
    }
}
