//! Which field of an item means what.

use looma_plugin_sdk::{Health, Problem, Target, problem};
use serde::Deserialize;
use serde_json::Value;

/// JSON pointers into an item. What is not named is looked for under its own name.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fields {
    service_id: Option<String>,
    service_name: Option<String>,
    service_type: Option<String>,
    url: Option<String>,
    node_id: Option<String>,
    health: Option<String>,
    metadata: Option<String>,
}

impl Fields {
    /// Pointers that are none.
    pub(crate) fn faults(&self) -> Vec<Problem> {
        let Self { service_id, service_name, service_type, url, node_id, health, metadata } = self;
        let all = [
            ("service_id", service_id),
            ("service_name", service_name),
            ("service_type", service_type),
            ("url", url),
            ("node_id", node_id),
            ("health", health),
            ("metadata", metadata),
        ];
        let wrong = all.into_iter().filter(|(_, pointer)| pointer.as_ref().is_some_and(|p| !p.starts_with('/')));
        wrong.map(|(name, _)| problem(format!("/fields/{name}"), "a JSON pointer begins with /")).collect()
    }

    /// Reads one item.
    pub(crate) fn target(&self, item: &Value) -> Result<Target, String> {
        let find = |pointer: &Option<String>, name: &str| match pointer {
            Some(pointer) => item.pointer(pointer),
            None => item.get(name),
        };
        let needed = |pointer, name| text(find(pointer, name)).ok_or_else(|| format!("it has no {name}"));
        Ok(Target {
            service_id: needed(&self.service_id, "service_id")?,
            service_name: needed(&self.service_name, "service_name")?,
            service_type: text(find(&self.service_type, "service_type")).unwrap_or_else(|| "unknown".to_owned()),
            url: needed(&self.url, "url")?,
            node_id: text(find(&self.node_id, "node_id")),
            health: health(find(&self.health, "health")),
            metadata: find(&self.metadata, "metadata").map(metadata).unwrap_or_default(),
        })
    }
}

/// A string, or a number in its written form.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn health(value: Option<&Value>) -> Health {
    match value {
        Some(Value::Bool(true)) => Health::Healthy,
        Some(Value::Bool(false)) => Health::Critical,
        Some(Value::String(text)) => match text.to_ascii_lowercase().as_str() {
            "healthy" | "passing" | "up" | "ok" => Health::Healthy,
            "warning" | "degraded" => Health::Warning,
            "critical" | "unhealthy" | "down" => Health::Critical,
            _ => Health::Unknown,
        },
        _ => Health::Unknown,
    }
}

fn metadata(value: &Value) -> Vec<(String, String)> {
    let entries = value.as_object().into_iter().flatten();
    let written = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    entries.map(|(key, value)| (key.clone(), written(value))).collect()
}
