//! A discovery strategy: reads a list of services from a URL. It says what is out there; the host compares and registers.

mod lifecycle;

use exports::looma::discovery::strategy::{Guest, Health, Page, PluginError, Target};
use looma::{
    host::http::{self, HttpError, Request},
    plugin::types::{Problem, Transient},
};
use serde::Deserialize;

wit_bindgen::generate!({
    path: ["wit/plugin", "wit/host", "wit/discovery"],
    world: "looma:discovery/discovery-strategy",
    generate_all,
});

/// The configuration; `schema.json` describes it to people and forms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the list is.
    url: String,
    /// The type of the services in it.
    service_type: String,
}

impl Config {
    /// What is wrong with it that its type cannot say.
    fn faults(&self) -> Vec<Problem> {
        if self.url.starts_with("https://") || self.url.starts_with("http://") {
            return Vec::new();
        }
        vec![lifecycle::problem("/url", "must begin with https:// or http://")]
    }
}

/// One service of the list.
#[derive(Deserialize)]
struct Found {
    id: String,
    name: String,
    url: String,
    #[serde(default)]
    zone: Option<String>,
}

/// The plugin.
struct Component;

impl Guest for Component {
    /// The list is one page; a longer one would give `next`, and be asked again with it as `cursor`.
    fn discover(config: String, _cursor: Option<String>) -> Result<Page, PluginError> {
        let config = lifecycle::read(&config)?;
        let request = Request {
            method: "GET".to_owned(),
            url: config.url,
            headers: Vec::new(),
            secret_headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: 5_000,
        };
        let response = http::send(&request).map_err(|error| failed(&error))?;
        if response.status != 200 {
            return Err(later(format!("the list answered {}", response.status)));
        }
        let found: Vec<Found> = serde_json::from_slice(&response.body)
            .map_err(|error| PluginError::Permanent(format!("the list cannot be read: {error}")))?;
        let targets = found.into_iter().map(|found| target(found, &config.service_type)).collect();
        Ok(Page { targets, next: None })
    }
}

export!(Component);

fn target(found: Found, service_type: &str) -> Target {
    let Found { id, name, url, zone } = found;
    Target {
        service_id: id,
        service_name: name,
        service_type: service_type.to_owned(),
        url,
        node_id: None,
        health: Health::Unknown,
        metadata: zone.map(|zone| ("zone".to_owned(), zone)).into_iter().collect(),
    }
}

/// What another try does not mend is permanent.
fn failed(error: &HttpError) -> PluginError {
    match error {
        HttpError::Denied(why) => PluginError::Permanent(why.clone()),
        HttpError::TooLarge(bytes) => PluginError::Permanent(format!("the list has {bytes} bytes")),
        HttpError::Timeout => later("no answer in time".to_owned()),
        HttpError::Dns(why) | HttpError::Tls(why) | HttpError::Connect(why) | HttpError::Protocol(why) => later(why.clone()),
    }
}

fn later(message: String) -> PluginError {
    PluginError::Transient(Transient { message, retry_after_ms: None })
}
