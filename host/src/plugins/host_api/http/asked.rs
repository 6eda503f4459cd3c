//! What a plugin asks for, and whether it may: the form of a request, its headers, and the grant of each hop.

use std::net::IpAddr;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use crate::plugins::bindings::looma::host::http::{HttpError, Request};
use crate::plugins::grants::{NoPlace, Place};
use crate::plugins::host_api::Reach;

const HEADERS: usize = 64;
const HEADER_BYTES: usize = 32 << 10;
const URL_BYTES: usize = 8 << 10;
const REQUEST_BYTES: usize = 8 << 20;

/// Headers that are the connection's own and not a plugin's to set.
const FORBIDDEN: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Methods that make a tunnel, or show a request to whoever asks.
const NEVER: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];

/// One request on its way through its hops.
pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    /// put in by the host, for the first origin alone
    pub(super) secret_headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Where a hop goes: lower-case host (an IPv6 address without brackets), port, and the address that the grant itself names.
pub(super) type Target = (String, u16, Option<IpAddr>);

/// Reads a request.
pub(super) fn first_hop(reach: &Reach, request: Request) -> Result<Hop, HttpError> {
    let Request { method, url, headers, secret_headers, body, timeout_ms: _ } = request;
    if body.len() > REQUEST_BYTES {
        return Err(HttpError::TooLarge(body.len() as u64));
    }
    if url.len() > URL_BYTES {
        return Err(HttpError::TooLarge(url.len() as u64));
    }
    let url = Url::parse(&url).map_err(|error| denied(format!("not a URL: {error}")))?;
    let method = read_method(&method)?;
    let (plain, secret) = read_headers(reach, &headers, secret_headers.len(), |secret| {
        for wanted in &secret_headers {
            let value = format!("{}{}", wanted.prefix, reach.secret(&wanted.secret)?);
            let (name, mut value) = header(&wanted.header, &value)?;
            value.set_sensitive(true);
            secret.append(name, value);
        }
        Ok(())
    })?;
    Ok(Hop { method, url, headers: plain, secret_headers: secret, body: reach.services.secrets.mask_bytes(body) })
}

fn read_method(text: &str) -> Result<Method, HttpError> {
    if text.is_empty() || text.len() > 32 || !text.bytes().all(|c| c.is_ascii_uppercase() || c == b'-') {
        return Err(denied("a method is written in capital letters".to_owned()));
    }
    if NEVER.contains(&text) {
        return Err(denied(format!("{text} is not for plugins")));
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| denied("not a method".to_owned()))
}

fn read_headers(
    reach: &Reach,
    headers: &[(String, String)],
    secrets: usize,
    put_in: impl FnOnce(&mut HeaderMap) -> Result<(), HttpError>,
) -> Result<(HeaderMap, HeaderMap), HttpError> {
    if headers.len() + secrets > HEADERS {
        return Err(denied(format!("more than {HEADERS} headers")));
    }
    let mut plain = HeaderMap::new();
    for (name, value) in headers {
        if let Some(secret) = reach.services.secrets.named_in(value) {
            return Err(denied(format!("the header {name:?} carries the secret {secret:?}; name it instead")));
        }
        let (name, value) = header(name, value)?;
        plain.append(name, value);
    }
    let mut secret = HeaderMap::new();
    put_in(&mut secret)?;
    let size: usize = plain.iter().chain(&secret).map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > HEADER_BYTES {
        return Err(denied(format!("more than {HEADER_BYTES} bytes of headers")));
    }
    Ok((plain, secret))
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), HttpError> {
    let wrong = || denied(format!("{name:?} is not a header that a plugin can set"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    if FORBIDDEN.contains(&name.as_str()) {
        return Err(wrong());
    }
    let value = HeaderValue::from_str(value)
        .map_err(|_| denied(format!("the value of header {:?} has characters that no header has", name.as_str())))?;
    Ok((name, value))
}

/// Whether a hop is granted by scheme, host, port and method. Addresses are checked once the host is resolved.
pub(super) fn check_grant(reach: &Reach, hop: &Hop) -> Result<Target, HttpError> {
    let (method, url) = (hop.method.as_str(), &hop.url);
    if let Some(secret) = reach.services.secrets.named_in(url.as_str()) {
        return Err(denied(format!("the URL carries the secret {secret:?}; put it into a header by its name")));
    }
    match reach.grants.place(method, url) {
        Ok(Place { host, port, grant }) => Ok((host, port, grant.address())),
        Err(NoPlace::Unfit(why)) => Err(denied(why.to_owned())),
        Err(NoPlace::NotGranted) => {
            let origin = url.origin().ascii_serialization();
            let plugin = &reach.plugin;
            Err(denied(format!(
                "plugin {plugin} is not granted {method} {origin}; grant http \"{origin}\" to allow it"
            )))
        }
    }
}

fn denied(why: String) -> HttpError {
    HttpError::Denied(why)
}
