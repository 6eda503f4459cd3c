//! Bundled discovery strategy: asks a URL that answers with a JSON list of services.

pub mod fields;

use std::collections::BTreeMap;

use fields::Fields;
use looma_plugin_sdk::host::http::{self, HttpError, Request, Response, SecretHeader};
use looma_plugin_sdk::{Page, Plugin, PluginError, Problem, Strategy, permanent, problem, transient};
use serde::Deserialize;
use serde_json::Value;

const DEFAULT_TIMEOUT_MS: u32 = 10_000;
const MOST: usize = 10_000;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// what is asked
    pub url: String,
    /// JSON pointer to the list in the answer; the whole answer unless told otherwise
    #[serde(default)]
    pub items_pointer: String,
    /// JSON pointers to fields in each item
    #[serde(default)]
    pub fields: Fields,
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
pub struct HttpJson;

impl Plugin for HttpJson {
    type Config = Config;
    const NAME: &'static str = "http-json";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = env!("CARGO_PKG_DESCRIPTION");
    const SCHEMA: &'static str = include_str!("schema.json");

    fn faults(config: &Config) -> Vec<Problem> {
        let mut faults = config.fields.faults();
        if !config.url.starts_with("https://") && !config.url.starts_with("http://") {
            faults.push(problem("/url", "must begin with https:// or http://"));
        }
        if !config.items_pointer.is_empty() && !config.items_pointer.starts_with('/') {
            faults.push(problem("/items_pointer", "a JSON pointer is empty or begins with /"));
        }
        if config.timeout_ms.is_some_and(|ms| !(100..=60_000).contains(&ms)) {
            faults.push(problem("/timeout_ms", "must be 100 to 60000"));
        }
        faults
    }
}

impl Strategy for HttpJson {
    fn discover(config: &Config, _: Option<&str>) -> Result<Page, PluginError> {
        let response = http::send(&request(config)).map_err(failure)?;
        page(config, &response)
    }
}

looma_plugin_sdk::strategy!(HttpJson);

fn request(config: &Config) -> Request {
    let mut headers = vec![("Accept".to_owned(), "application/json".to_owned())];
    headers.extend(config.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    let secret = config.secret_header.as_ref().map(|Secret { header, secret, prefix }| SecretHeader {
        header: header.clone(),
        secret: secret.clone(),
        prefix: prefix.clone(),
    });
    Request {
        method: "GET".to_owned(),
        url: config.url.clone(),
        headers,
        secret_headers: secret.into_iter().collect(),
        body: Vec::new(),
        timeout_ms: config.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS),
    }
}

/// The targets of an answer. An item that cannot be read fails the whole answer: a list that is half understood would take
/// services out of the registry.
fn page(config: &Config, response: &Response) -> Result<Page, PluginError> {
    match response.status {
        200..=299 => {}
        status @ (408 | 429 | 500..=599) => return Err(transient(format!("HTTP {status}"), None)),
        status => return Err(permanent(format!("HTTP {status}"))),
    }
    let answer: Value =
        serde_json::from_slice(&response.body).map_err(|error| permanent(format!("not JSON: {error}")))?;
    let items = answer.pointer(&config.items_pointer).and_then(Value::as_array);
    let items =
        items.ok_or_else(|| permanent(format!("there is no list at {:?} in the answer", config.items_pointer)))?;
    if items.len() > MOST {
        return Err(permanent(format!("{} items are too many, at most {MOST} are read", items.len())));
    }
    let read = |(i, item)| config.fields.target(item).map_err(|why| permanent(format!("item {i}: {why}")));
    let targets = items.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(Page { targets, next: None })
}

fn failure(error: HttpError) -> PluginError {
    match error {
        HttpError::Timeout => transient("no answer in time", None),
        HttpError::Dns(why) | HttpError::Connect(why) | HttpError::Protocol(why) => transient(why, None),
        HttpError::Denied(why) => permanent(why),
        HttpError::Tls(why) => permanent(format!("TLS: {why}")),
        HttpError::TooLarge(bytes) => permanent(format!("an answer of {bytes} bytes is too large")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use looma_plugin_sdk::Health;

    fn read(config: &str, status: u16, body: &str) -> Result<Page, PluginError> {
        let config = looma_plugin_sdk::config::load::<HttpJson>(config).unwrap();
        page(&config, &Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() })
    }

    #[test]
    fn fields_are_found_where_the_configuration_says() {
        let config =
            r#"{"url": "http://x", "items_pointer": "/data", "fields": {"service_id": "/meta/id", "url": "/address"}}"#;
        let body =
            r#"{"data": [{"meta": {"id": 7}, "service_name": "ai", "address": "http://a:1", "health": "critical"}]}"#;
        let page = read(config, 200, body).unwrap();
        let target = &page.targets[0];
        assert_eq!(
            (target.service_id.as_str(), target.service_name.as_str(), target.url.as_str()),
            ("7", "ai", "http://a:1")
        );
        assert_eq!(target.health, Health::Critical);
    }

    #[test]
    fn an_item_that_cannot_be_read_fails_the_answer() {
        let body = r#"[{"service_id": "a", "service_name": "n", "url": "u"}, {"service_id": "b"}]"#;
        let Err(PluginError::Permanent(why)) = read(r#"{"url": "http://x"}"#, 200, body) else { panic!() };
        assert!(why.starts_with("item 1"), "{why}");
    }

    #[test]
    fn a_server_in_trouble_is_asked_again() {
        assert!(matches!(read(r#"{"url": "http://x"}"#, 503, ""), Err(PluginError::Transient(_))));
        assert!(matches!(read(r#"{"url": "http://x"}"#, 404, ""), Err(PluginError::Permanent(_))));
    }
}
