//! Bundled notifier: posts a notification as JSON to a URL. Secrets are put in by the host.

mod json;

use looma_plugin_sdk::host::http::{self, HttpError, Request, Response, SecretHeader};
use looma_plugin_sdk::{Notification, Notifier, Plugin, PluginError, Problem, Receipt, permanent, problem, transient};
use serde::Deserialize;
use std::collections::BTreeMap;

const DEFAULT_TIMEOUT_MS: u32 = 10_000;
const DETAIL: usize = 500;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// where it is sent
    pub url: String,
    /// POST unless told otherwise
    #[serde(default)]
    pub method: Option<String>,
    /// further headers
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// a header whose value is a secret that the host knows
    #[serde(default)]
    pub secret_header: Option<Secret>,
    /// how long to wait for the answer
    #[serde(default)]
    pub timeout_ms: Option<u32>,
}

/// A header whose value is a secret.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// as `Authorization`
    pub header: String,
    /// the secret's name
    pub secret: String,
    /// what stands before it, as `Bearer `
    #[serde(default)]
    pub prefix: String,
}

/// The plugin.
pub struct Webhook;

impl Plugin for Webhook {
    type Config = Config;
    const NAME: &'static str = "webhook";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = env!("CARGO_PKG_DESCRIPTION");
    const SCHEMA: &'static str = include_str!("schema.json");

    fn faults(config: &Config) -> Vec<Problem> {
        let mut faults = Vec::new();
        if !config.url.starts_with("https://") && !config.url.starts_with("http://") {
            faults.push(problem("/url", "must begin with https:// or http://"));
        }
        if config.method.as_deref().is_some_and(|method| !matches!(method, "POST" | "PUT" | "PATCH")) {
            faults.push(problem("/method", "must be POST, PUT or PATCH"));
        }
        if config.timeout_ms.is_some_and(|ms| !(100..=60_000).contains(&ms)) {
            faults.push(problem("/timeout_ms", "must be 100 to 60000"));
        }
        faults
    }
}

impl Notifier for Webhook {
    fn deliver(config: &Config, notification: &Notification) -> Result<Receipt, PluginError> {
        match http::send(&request(config, notification)) {
            Ok(response) => outcome(&response),
            Err(error) => Err(failure(error)),
        }
    }

    fn preview(config: &Config, notification: &Notification) -> Result<String, PluginError> {
        let method = config.method.as_deref().unwrap_or("POST");
        Ok(format!("{method} {}\n\n{:#}", config.url, json::body(notification)))
    }
}

looma_plugin_sdk::notifier!(Webhook);

/// The request for a notification. Its id is the idempotency key, the same for each attempt.
fn request(config: &Config, notification: &Notification) -> Request {
    let mut headers = vec![
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("Idempotency-Key".to_owned(), notification.id.clone()),
    ];
    headers.extend(config.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    let secret = config.secret_header.as_ref().map(|Secret { header, secret, prefix }| SecretHeader {
        header: header.clone(),
        secret: secret.clone(),
        prefix: prefix.clone(),
    });
    Request {
        method: config.method.clone().unwrap_or_else(|| "POST".to_owned()),
        url: config.url.clone(),
        headers,
        secret_headers: secret.into_iter().collect(),
        body: json::body(notification).to_string().into_bytes(),
        timeout_ms: config.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS),
    }
}

/// What an answer means: 2xx is a receipt; 408, 429 and 5xx are worth another try; everything else is final.
fn outcome(response: &Response) -> Result<Receipt, PluginError> {
    let Response { status, headers, body } = response;
    let said: String = String::from_utf8_lossy(body).chars().take(DETAIL).collect();
    let message = format!("HTTP {status}: {said}");
    match status {
        200..=299 => Ok(Receipt {
            remote_id: find(headers, "x-request-id").map(str::to_owned),
            detail: format!("HTTP {status}"),
        }),
        408 | 429 | 500..=599 => Err(transient(message, retry_after_ms(headers))),
        _ => Err(permanent(message)),
    }
}

fn failure(error: HttpError) -> PluginError {
    match error {
        HttpError::Timeout => transient("no answer in time", None),
        HttpError::Dns(why) | HttpError::Connect(why) | HttpError::Protocol(why) => transient(why, None),
        // A handshake that was cut short looks like a certificate that is wrong: attempts are counted anyway.
        HttpError::Tls(why) => transient(format!("TLS: {why}"), None),
        HttpError::Denied(why) => permanent(why),
        HttpError::TooLarge(bytes) => permanent(format!("{bytes} bytes are too many")),
    }
}

/// `Retry-After` in seconds; its form with a date is left to the host's own pauses.
fn retry_after_ms(headers: &[(String, String)]) -> Option<u32> {
    find(headers, "retry-after")?.trim().parse::<u32>().ok()?.checked_mul(1000)
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> Result<Receipt, PluginError> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        outcome(&Response { status, headers, body: b"busy".to_vec() })
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert!(answer(204, &[]).is_ok());
        for status in [408, 429, 500, 503] {
            assert!(matches!(answer(status, &[]), Err(PluginError::Transient(_))), "{status}");
        }
        for status in [301, 400, 404, 422] {
            assert!(matches!(answer(status, &[]), Err(PluginError::Permanent(_))), "{status}");
        }
    }

    #[test]
    fn retry_after_is_honoured() {
        let Err(PluginError::Transient(transient)) = answer(429, &[("Retry-After", "7")]) else { panic!() };
        assert_eq!(transient.retry_after_ms, Some(7_000));
        assert!(transient.message.contains("busy"));
    }
}
