//! A notifier: posts a line for each alert to a URL, as JSON. Requests go to hosts that an operator granted, and nowhere else.

mod lifecycle;

use exports::looma::notify::notifier::{Alert, Guest, Notification, PluginError, Receipt, Severity, Status};
use looma::{
    host::http::{self, HttpError, Request},
    plugin::types::{Problem, Transient},
};
use serde::Deserialize;
use serde_json::json;

wit_bindgen::generate!({
    path: ["wit/plugin", "wit/host", "wit/notify"],
    world: "looma:notify/notifier-plugin",
    generate_all,
});

/// The configuration; `schema.json` describes it to people and forms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where notifications are posted.
    url: String,
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

/// The plugin.
struct Component;

impl Guest for Component {
    fn deliver(config: String, notification: Notification) -> Result<Receipt, PluginError> {
        let config = lifecycle::read(&config)?;
        let request = Request {
            method: "POST".to_owned(),
            url: config.url,
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                // The same for every attempt, so that whoever takes it can take it once.
                ("idempotency-key".to_owned(), notification.id.clone()),
            ],
            secret_headers: Vec::new(),
            body: text(&notification).into_bytes(),
            timeout_ms: 5_000,
        };
        let response = http::send(&request).map_err(|error| failed(&error))?;
        match response.status {
            200..300 => Ok(Receipt { remote_id: None, detail: format!("answered {}", response.status) }),
            429 | 500.. => Err(later(format!("answered {}", response.status))),
            status => Err(PluginError::Permanent(format!("answered {status}"))),
        }
    }

    fn preview(config: String, notification: Notification) -> Result<String, PluginError> {
        lifecycle::read(&config)?;
        Ok(text(&notification))
    }
}

export!(Component);

/// What is posted.
fn text(notification: &Notification) -> String {
    let status = match notification.status {
        Status::Firing => "firing",
        Status::Resolved => "resolved",
    };
    let lines: Vec<String> = notification.alerts.iter().map(line).collect();
    json!({"title": notification.title, "status": status, "lines": lines}).to_string()
}

fn line(alert: &Alert) -> String {
    let severity = match alert.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    format!("{} [{severity}] {}: {}", alert.rule, alert.service_id, alert.message)
}

/// What another try does not mend is permanent.
fn failed(error: &HttpError) -> PluginError {
    match error {
        HttpError::Denied(why) => PluginError::Permanent(why.clone()),
        HttpError::TooLarge(bytes) => PluginError::Permanent(format!("the answer has {bytes} bytes")),
        HttpError::Timeout => later("no answer in time".to_owned()),
        HttpError::Dns(why) | HttpError::Tls(why) | HttpError::Connect(why) | HttpError::Protocol(why) => later(why.clone()),
    }
}

fn later(message: String) -> PluginError {
    PluginError::Transient(Transient { message, retry_after_ms: None })
}
