//! Bundled notifier: mails a notification through the operator's server. Servers and passwords are the host's affair.

mod template;

use looma_plugin_sdk::host::mail::{self, MailError, Message};
use looma_plugin_sdk::{
    Alert, Notification, Notifier, Plugin, PluginError, Problem, Receipt, permanent, problem, transient,
};
use serde::Deserialize;

const SUBJECT: &str = "{{ title }}";
const TEXT: &str = "{{ title }}\n\n{{ alerts }}\n";
/// Characters of a subject; the host takes no more bytes than four times that.
const SUBJECT_CHARS: usize = 120;
const RECIPIENTS: usize = 50;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// to whom
    pub to: Vec<String>,
    /// the title unless told otherwise
    #[serde(default)]
    pub subject: Option<String>,
    /// title and alerts unless told otherwise
    #[serde(default)]
    pub text: Option<String>,
}

/// The plugin.
pub struct Mail;

impl Plugin for Mail {
    type Config = Config;
    const NAME: &'static str = "mail";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = env!("CARGO_PKG_DESCRIPTION");
    const SCHEMA: &'static str = include_str!("schema.json");

    fn faults(config: &Config) -> Vec<Problem> {
        let mut faults = Vec::new();
        if config.to.is_empty() || config.to.len() > RECIPIENTS {
            faults.push(problem("/to", format!("has 1 to {RECIPIENTS} addresses")));
        }
        for (i, address) in config.to.iter().enumerate() {
            if !address.contains('@') || address.contains(char::is_control) {
                faults.push(problem(format!("/to/{i}"), "is not an address"));
            }
        }
        for (pointer, template) in [("/subject", &config.subject), ("/text", &config.text)] {
            if let Some(why) = template.as_deref().and_then(template::fault) {
                faults.push(problem(pointer, why));
            }
        }
        faults
    }
}

impl Notifier for Mail {
    fn deliver(config: &Config, notification: &Notification) -> Result<Receipt, PluginError> {
        let message = message(config, notification).map_err(permanent)?;
        let recipients = message.to.len();
        match mail::send(&message) {
            Ok(()) => Ok(Receipt { remote_id: None, detail: format!("mailed to {recipients}") }),
            Err(MailError::Unreachable(why)) => Err(transient(why, None)),
            Err(MailError::Denied(why) | MailError::Rejected(why)) => Err(permanent(why)),
        }
    }

    fn preview(config: &Config, notification: &Notification) -> Result<String, PluginError> {
        let Message { to, subject, text, html: _ } = message(config, notification).map_err(permanent)?;
        Ok(format!("To: {}\nSubject: {subject}\n\n{text}", to.join(", ")))
    }
}

looma_plugin_sdk::notifier!(Mail);

fn message(config: &Config, notification: &Notification) -> Result<Message, String> {
    let Config { to, subject, text } = config;
    let value = |name: &str| match name {
        "title" => notification.title.clone(),
        "status" => notification.status.as_str().to_owned(),
        "count" => notification.alerts.len().to_string(),
        _ => notification.alerts.iter().map(line).collect::<Vec<_>>().join("\n"),
    };
    let subject = template::fill(subject.as_deref().unwrap_or(SUBJECT), value)?;
    let text = template::fill(text.as_deref().unwrap_or(TEXT), value)?;
    let one_line = |c: char| if c.is_control() { ' ' } else { c };
    let subject = subject.chars().map(one_line).take(SUBJECT_CHARS).collect();
    Ok(Message { to: to.clone(), subject, text, html: None })
}

fn line(alert: &Alert) -> String {
    let severity = alert.severity.as_str();
    let Alert { rule, service_id, message, url, .. } = alert;
    let link = if url.is_empty() { String::new() } else { format!("\n  {url}") };
    format!("{} [{severity}] {rule}, {service_id}: {message}{link}", alert.status.as_str())
}

#[cfg(test)]
mod tests {
    use looma_plugin_sdk::{Severity, Status};

    use super::*;

    fn notification() -> Notification {
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
            url: "https://looma.example/alerts/a".to_owned(),
        };
        Notification {
            id: "n".to_owned(),
            attempt: 1,
            status: Status::Firing,
            title: "[FIRING:1]\r\nBcc: x@y".to_owned(),
            group: Vec::new(),
            alerts: vec![alert],
        }
    }

    fn config(subject: Option<&str>, text: Option<&str>) -> Config {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Config { to: vec!["ops@example.com".to_owned()], subject: own(subject), text: own(text) }
    }

    #[test]
    fn a_subject_is_one_line() {
        let message = message(&config(None, Some("{{ count }} {{ status }}: {{ alerts }}")), &notification()).unwrap();
        assert_eq!(message.subject, "[FIRING:1]  Bcc: x@y");
        let line = "1 firing: firing [critical] cpu high, ai-1: 97 %\n  https://looma.example/alerts/a";
        assert_eq!(message.text, line);
    }

    #[test]
    fn every_fault_has_its_place() {
        let wrong = Config { to: vec!["nobody".to_owned()], ..config(Some("{{ x }}"), Some("{{")) };
        let pointers: Vec<String> = Mail::faults(&wrong).into_iter().map(|problem| problem.pointer).collect();
        assert_eq!(pointers, ["/to/0", "/subject", "/text"]);
        assert!(Mail::faults(&config(None, None)).is_empty());
    }
}
