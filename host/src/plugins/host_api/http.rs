//! `looma:host/http`: outgoing HTTP, to granted hosts alone. Every hop is checked as the first was: scheme, host, port, then the
//! addresses that the host has, and the connection goes to an address that was checked.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use sha2::Sha256;

use crate::plugins::bindings::looma::host::http::{Host, HttpError, Request, Response};
use crate::plugins::grants::{NoPlace, Place};

use super::{Ctx, Interface, Reach, address, mask::masked};

const HOPS: usize = 5;
const HEADERS: usize = 64;
const HEADER_BYTES: usize = 32 << 10;
const REQUEST_BYTES: usize = 8 << 20;
const RESPONSE_BYTES: usize = 8 << 20;
const LONGEST: Duration = Duration::from_secs(60);
const CLIENTS: usize = 128;

/// Headers that are the connection's own and not a plugin's to set.
const FORBIDDEN: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

type ClientKey = (String, Vec<SocketAddr>);

/// Clients that connect to addresses that were checked, one a host and its addresses.
#[derive(Default)]
pub(in crate::plugins) struct HttpClients {
    clients: Mutex<HashMap<ClientKey, Client>>,
    /// What names lead to, answer by answer; when there is none left, the system says.
    #[cfg(test)]
    pub(in crate::plugins) answers: Mutex<std::collections::VecDeque<Vec<SocketAddr>>>,
}

impl HttpClients {
    fn client(&self, host: &str, mut addresses: Vec<SocketAddr>) -> Result<Client, HttpError> {
        addresses.sort_unstable();
        let key = (host.to_owned(), addresses);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        // A second installation is refused, and then the first one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .resolve_to_addrs(host, &key.1)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .user_agent("looma")
            .build()
            .map_err(|error| HttpError::Tls(format!("could not make an HTTP client: {error}")))?;
        if clients.len() >= CLIENTS {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }
}

impl Host for Ctx {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, HttpError>> {
        self.asked(Interface::Http)?;
        if !self.take_request() {
            self.reach.denied(Interface::Http);
            return Ok(Err(HttpError::Denied("this call made too many requests".to_owned())));
        }
        let asked = Duration::from_millis(u64::from(request.timeout_ms));
        let within = if asked.is_zero() { LONGEST } else { asked.min(LONGEST) };
        // The call's own deadline comes a little later, so that the plugin can still say what happened.
        let within = within.min(self.reach.remaining().mul_f32(0.95));
        let sent = tokio::time::timeout(within, follow(self.reach.clone(), request)).await;
        if let Ok(Err(HttpError::Denied(_))) = &sent {
            self.reach.denied(Interface::Http);
        }
        Ok(sent.unwrap_or(Err(HttpError::Timeout)))
    }

    async fn sign(&mut self, secret: String, message: Vec<u8>) -> wasmtime::Result<Result<Vec<u8>, HttpError>> {
        self.asked(Interface::Http)?;
        let signed = self.reach.secret(&secret).and_then(|secret| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
                .map_err(|_| HttpError::Denied("the secret cannot be used to sign".to_owned()))?;
            mac.update(&message);
            Ok(mac.finalize().into_bytes().to_vec())
        });
        Ok(signed)
    }
}

impl Reach {
    fn secret(&self, name: &str) -> Result<Arc<str>, HttpError> {
        if !self.grants.secrets.iter().any(|granted| granted == name) {
            return Err(HttpError::Denied(format!("plugin {} is not granted the secret {name:?}", self.plugin)));
        }
        self.services.secrets.find(name).ok_or_else(|| HttpError::Denied(format!("there is no secret {name:?}")))
    }
}

/// One request on its way through its hops.
struct Hop {
    method: Method,
    url: Url,
    headers: HeaderMap,
    /// put in by the host, for the first origin alone
    secret_headers: HeaderMap,
    /// the secrets in them
    secrets: Vec<Arc<str>>,
    body: Vec<u8>,
}

async fn follow(reach: Reach, request: Request) -> Result<Response, HttpError> {
    let mut hop = first_hop(&reach, request)?;
    for _ in 0..=HOPS {
        let response = send_once(&reach, &hop).await?;
        let Some(next) = next_url(&hop.url, &response) else {
            return read(response).await.map(|response| masked(response, &hop.secrets));
        };
        let see_other = response.status() == StatusCode::SEE_OTHER && hop.method != Method::HEAD;
        let moved = matches!(response.status(), StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND);
        if see_other || (moved && hop.method == Method::POST) {
            hop.method = Method::GET;
            hop.body.clear();
            hop.headers.remove("content-type");
        }
        if next.origin() != hop.url.origin() {
            hop.secret_headers.clear();
            hop.headers.remove("authorization");
            hop.headers.remove("cookie");
        }
        hop.url = next;
    }
    Err(HttpError::Protocol(format!("more than {HOPS} redirects")))
}

fn first_hop(reach: &Reach, request: Request) -> Result<Hop, HttpError> {
    let Request { method, url, headers, secret_headers, body, timeout_ms: _ } = request;
    if body.len() > REQUEST_BYTES {
        return Err(HttpError::TooLarge(body.len() as u64));
    }
    let url = Url::parse(&url).map_err(|error| HttpError::Denied(format!("not a URL: {error}")))?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| HttpError::Denied("not a method".to_owned()))?;
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(HttpError::Denied(format!("{method} is not for plugins")));
    }
    let size: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() + secret_headers.len() > HEADERS || size > HEADER_BYTES {
        return Err(HttpError::Denied(format!("more than {HEADERS} headers or {HEADER_BYTES} bytes of them")));
    }
    let mut plain = HeaderMap::new();
    for (name, value) in &headers {
        let (name, value) = header(name, value)?;
        plain.append(name, value);
    }
    let (mut secret, mut secrets) = (HeaderMap::new(), Vec::new());
    for wanted in &secret_headers {
        let own = reach.secret(&wanted.secret)?;
        let value = format!("{}{own}", wanted.prefix);
        secrets.push(own);
        let (name, mut value) = header(&wanted.header, &value)?;
        value.set_sensitive(true);
        secret.append(name, value);
    }
    Ok(Hop { method, url, headers: plain, secret_headers: secret, secrets, body })
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), HttpError> {
    let wrong = || HttpError::Denied(format!("{name:?} is not a header that a plugin can set"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    if FORBIDDEN.contains(&name.as_str()) {
        return Err(wrong());
    }
    let value = HeaderValue::from_str(value).map_err(|_| {
        HttpError::Denied(format!("the value of header {:?} has characters that no header has", name.as_str()))
    })?;
    Ok((name, value))
}

async fn send_once(reach: &Reach, hop: &Hop) -> Result<reqwest::Response, HttpError> {
    let (host, port, named) = check_grant(reach, hop)?;
    let addresses = resolve(reach, &host, port).await?;
    for address in &addresses {
        address::check(*address, &reach.grants, named).map_err(|why| HttpError::Denied(format!("{host}: {why}")))?;
    }
    let client = reach.services.http.client(&host, addresses)?;
    let mut headers = hop.headers.clone();
    for (name, value) in &hop.secret_headers {
        headers.insert(name, value.clone());
    }
    let request = client.request(hop.method.clone(), hop.url.clone()).headers(headers).body(hop.body.clone());
    request.send().await.map_err(|error| failure(&error))
}

async fn resolve(reach: &Reach, host: &str, port: u16) -> Result<Vec<SocketAddr>, HttpError> {
    #[cfg(test)]
    if let Some(answer) = reach.services.http.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
        return Ok(answer);
    }
    let addresses = address::resolve(reach, host, port, reach.remaining()).await;
    addresses.map_err(|error| HttpError::Dns(error.to_string()))
}

fn check_grant(reach: &Reach, hop: &Hop) -> Result<(String, u16, Option<IpAddr>), HttpError> {
    let (method, url) = (hop.method.as_str(), &hop.url);
    let origin = || url.origin().ascii_serialization();
    match reach.grants.place(method, url) {
        Ok(Place { host, port, grant }) => Ok((host, port, grant.address())),
        Err(NoPlace::Unfit(why)) => Err(HttpError::Denied(why.to_owned())),
        Err(NoPlace::NotGranted) => Err(HttpError::Denied(format!(
            "plugin {} is not granted {method} {}; grant http \"{}\" to allow it",
            reach.plugin,
            origin(),
            origin()
        ))),
    }
}

fn next_url(from: &Url, response: &reqwest::Response) -> Option<Url> {
    let redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get("location").filter(|_| redirect)?;
    from.join(location.to_str().ok()?).ok()
}

async fn read(mut response: reqwest::Response) -> Result<Response, HttpError> {
    let status = response.status().as_u16();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: Vec<_> = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    if let Some(length) = response.content_length().filter(|&length| length > RESPONSE_BYTES as u64) {
        return Err(HttpError::TooLarge(length));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + chunk.len() > RESPONSE_BYTES {
            return Err(HttpError::TooLarge((body.len() + chunk.len()) as u64));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response { status, headers, body })
}

/// Says what went wrong without the URL, which may carry a token.
fn failure(error: &reqwest::Error) -> HttpError {
    let mut told = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told.push(error.to_string());
        cause = error.source();
    }
    let told = told.join(": ");
    if error.is_timeout() {
        return HttpError::Timeout;
    }
    let tls = ["certificate", "tls", "TLS", "handshake"].iter().any(|word| told.contains(word));
    match error.is_connect() {
        true if tls => HttpError::Tls(told),
        true => HttpError::Connect(told),
        false => HttpError::Protocol(told),
    }
}
