//! Notifiers: bring a group of alerts to people, through one channel.

use crate::bindings::notifier as bindings;
use crate::{Plugin, PluginError, config};

use bindings::exports::looma::notify::notifier::Guest;
pub use bindings::exports::looma::notify::notifier::{Alert, Notification, Receipt, Severity, Status};

impl Severity {
    /// The word for it: `info`, `warning` or `critical`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl Status {
    /// The word for it: `firing` or `resolved`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// Delivers notifications.
pub trait Notifier: Plugin {
    /// Delivers; the same `notification.id` must reach people once, however often it is tried.
    fn deliver(config: &Self::Config, notification: &Notification) -> Result<Receipt, PluginError>;

    /// What `deliver` would send, and nothing is sent.
    fn preview(config: &Self::Config, notification: &Notification) -> Result<String, PluginError>;
}

impl<T: Notifier> Guest for T {
    fn deliver(config: String, notification: Notification) -> Result<Receipt, PluginError> {
        <T as Notifier>::deliver(&config::load::<T>(&config)?, &notification)
    }

    fn preview(config: String, notification: Notification) -> Result<String, PluginError> {
        <T as Notifier>::preview(&config::load::<T>(&config)?, &notification)
    }
}
