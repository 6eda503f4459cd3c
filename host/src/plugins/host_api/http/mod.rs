//! `looma:host/http`: outgoing HTTP, to granted hosts alone. Every hop is checked as the first was: scheme, host, port, method, then
//! the addresses that the host has, and the connection goes to an address that was checked.
//!
//! Read on in `asked` (requests and grants), `clients`; addresses are in `host_api::address`.

mod asked;
mod clients;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode, Url};
use sha2::Sha256;

use crate::plugins::bindings::looma::host::http::{Host, HttpError, Request, Response};
use crate::secrets::Secrets;

use super::{Ctx, Interface, Reach, address};
use asked::{Hop, check_grant, first_hop};
pub(in crate::plugins) use clients::HttpClients;

const HOPS: usize = 5;
const RESPONSE_BYTES: usize = 8 << 20;
const RESPONSE_HEADER_BYTES: usize = 64 << 10;
const LONGEST: Duration = Duration::from_secs(60);

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
        if !self.take_request() {
            self.reach.denied(Interface::Http);
            return Ok(Err(HttpError::Denied("this call signed too often".to_owned())));
        }
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
        self.services.secrets.find(name).map_err(HttpError::Denied)
    }
}

async fn follow(reach: Reach, request: Request) -> Result<Response, HttpError> {
    let mut hop = first_hop(&reach, request)?;
    for _ in 0..=HOPS {
        let response = send_once(&reach, &hop).await?;
        let Some(next) = next_url(&hop.url, &response) else {
            return read(response, &reach.services.secrets).await;
        };
        turn(&mut hop, next, response.status());
    }
    Err(HttpError::Protocol(format!("more than {HOPS} redirects")))
}

/// Readies a hop for where it is sent on to (RFC 9110, section 15.4). What proves who asks goes to the first origin alone.
fn turn(hop: &mut Hop, next: Url, status: StatusCode) {
    let see_other = status == StatusCode::SEE_OTHER && hop.method != Method::HEAD;
    let moved = matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND);
    if see_other || (moved && hop.method == Method::POST) {
        hop.method = Method::GET;
        hop.body.clear();
        for name in ["content-type", "content-encoding", "content-language", "content-location"] {
            hop.headers.remove(name);
        }
    }
    if next.origin() != hop.url.origin() {
        hop.secret_headers.clear();
        hop.headers.remove("authorization");
        hop.headers.remove("cookie");
    }
    hop.url = next;
}

async fn send_once(reach: &Reach, hop: &Hop) -> Result<reqwest::Response, HttpError> {
    let (host, port, named) = check_grant(reach, hop)?;
    let addresses = reach.services.http.resolve(reach, &host, port).await?;
    for address in &addresses {
        address::check(*address, &reach.grants, named).map_err(|why| HttpError::Denied(format!("{host}: {why}")))?;
    }
    let client = reach.services.http.client(&host, addresses)?;
    let mut headers = hop.headers.clone();
    for name in hop.secret_headers.keys() {
        headers.remove(name);
    }
    for (name, value) in &hop.secret_headers {
        headers.append(name, value.clone());
    }
    let request = client.request(hop.method.clone(), hop.url.clone()).headers(headers).body(hop.body.clone());
    request.send().await.map_err(|error| failure(&error))
}

fn next_url(from: &Url, response: &reqwest::Response) -> Option<Url> {
    let redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get("location").filter(|_| redirect)?;
    from.join(location.to_str().ok()?).ok()
}

/// Reads an answer. A server may say back what it was told: the plugin gets it without the values of secrets.
async fn read(mut response: reqwest::Response, secrets: &Secrets) -> Result<Response, HttpError> {
    let status = response.status().as_u16();
    let size: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > RESPONSE_HEADER_BYTES {
        return Err(HttpError::TooLarge(size as u64));
    }
    let text = |value: &HeaderValue| secrets.mask(String::from_utf8_lossy(value.as_bytes()).into_owned());
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
    Ok(Response { status, headers, body: secrets.mask_bytes(body) })
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
