//! Bundled notifier: writes a notification to the host's log. For trying routes, and as a last resort that needs no network.

use looma_plugin_sdk::host::{self, log::Level};
use looma_plugin_sdk::{Alert, Notification, Notifier, Plugin, PluginError, Receipt, Status};
use serde::Deserialize;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// the level of lines about alerts that fire; `warn` unless told otherwise
    #[serde(default)]
    pub level: Option<LogLevel>,
}

/// Levels of the log.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// for the curious
    Debug,
    /// as it goes
    Info,
    /// to look at
    Warn,
    /// to act on
    Error,
}

/// The plugin.
pub struct Log;

impl Plugin for Log {
    type Config = Config;
    const NAME: &'static str = "log";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = env!("CARGO_PKG_DESCRIPTION");
    const SCHEMA: &'static str = include_str!("schema.json");
}

impl Notifier for Log {
    fn deliver(config: &Config, notification: &Notification) -> Result<Receipt, PluginError> {
        let level = match (notification.status, config.level) {
            (Status::Resolved, _) | (_, Some(LogLevel::Info)) => Level::Info,
            (_, Some(LogLevel::Debug)) => Level::Debug,
            (_, Some(LogLevel::Error)) => Level::Error,
            (_, None | Some(LogLevel::Warn)) => Level::Warn,
        };
        let alerts = notification.alerts.len().to_string();
        host::log(level, &text(notification), &[("notification", &notification.id), ("alerts", &alerts)]);
        Ok(Receipt { remote_id: None, detail: format!("logged {alerts} alerts") })
    }

    fn preview(_: &Config, notification: &Notification) -> Result<String, PluginError> {
        Ok(text(notification))
    }
}

looma_plugin_sdk::notifier!(Log);

/// The line for a notification.
pub fn text(notification: &Notification) -> String {
    let status = notification.status.as_str();
    let alerts = notification.alerts.iter().map(alert).collect::<Vec<_>>().join("; ");
    format!("{status}: {}: {alerts}", notification.title)
}

fn alert(alert: &Alert) -> String {
    let severity = alert.severity.as_str();
    format!("{} [{severity}] {}: {}", alert.rule, alert.service_id, alert.message)
}

#[cfg(test)]
mod tests {
    use looma_plugin_sdk::Severity;

    use super::*;

    #[test]
    fn the_line_names_rule_severity_and_service() {
        let alert = Alert {
            id: "a".to_owned(),
            rule: "cpu high".to_owned(),
            status: Status::Firing,
            severity: Severity::Critical,
            service_id: "ai-1".to_owned(),
            service_name: "ai".to_owned(),
            labels: Vec::new(),
            value: None,
            message: "97 %".to_owned(),
            started_at_ms: 0,
            ended_at_ms: None,
            url: String::new(),
        };
        let notification = Notification {
            id: "n".to_owned(),
            attempt: 1,
            status: Status::Firing,
            title: "one alert".to_owned(),
            group: Vec::new(),
            alerts: vec![alert],
        };
        assert_eq!(text(&notification), "firing: one alert: cpu high [critical] ai-1: 97 %");
    }
}
