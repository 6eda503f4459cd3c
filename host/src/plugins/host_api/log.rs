//! `looma:host/log`: lines of a plugin in the host's log, under its name, bounded in number and length.

use crate::plugins::bindings::looma::host::log::{Host, Level};

use super::{Ctx, Interface};
use crate::{plugins::share::LogLine, secrets::Secrets};

const MESSAGE: usize = 2_000;
const FIELDS: usize = 20;

impl Host for Ctx {
    fn log(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        self.asked(Interface::Log)?;
        if self.log_lines == 0 {
            self.reach.denied(Interface::Log);
            return Ok(());
        }
        self.log_lines -= 1;
        let minute = self.reach.share.take_log_line(self.reach.services.clock.uptime());
        if minute == LogLine::Drop {
            self.reach.denied(Interface::Log);
            return Ok(());
        }
        let (message, fields) = line(&self.reach.services.secrets, message, fields);
        let plugin = self.reach.plugin.as_str();
        let write = match level {
            Level::Trace => trace,
            Level::Debug => debug,
            Level::Info => info,
            Level::Warn => warn,
            Level::Error => error,
        };
        write(plugin, &fields, &message);
        if self.log_lines == 0 {
            tracing::warn!(plugin.name = plugin, "the plugin logs too much, the rest of this call's lines are dropped");
        }
        if minute == LogLine::WriteTheLast {
            tracing::warn!(
                plugin.name = plugin,
                "the plugin logs too much, the rest of this minute's lines are dropped"
            );
        }
        Ok(())
    }
}

/// A line as it is logged: message and fields, bounded, without the values of secrets.
fn line(secrets: &Secrets, message: String, fields: Vec<(String, String)>) -> (String, String) {
    let message = plain(&secrets.mask(message), MESSAGE);
    let own = |text: String, most: usize| plain(&secrets.mask(text), most);
    let fields = fields.into_iter().take(FIELDS).map(|(key, value)| format!("{}={:?}", own(key, 60), own(value, 500)));
    (message, fields.collect::<Vec<_>>().join(" "))
}

fn trace(plugin: &str, fields: &str, message: &str) {
    tracing::trace!(plugin.name = plugin, plugin.fields = fields, "{message}");
}

fn debug(plugin: &str, fields: &str, message: &str) {
    tracing::debug!(plugin.name = plugin, plugin.fields = fields, "{message}");
}

fn info(plugin: &str, fields: &str, message: &str) {
    tracing::info!(plugin.name = plugin, plugin.fields = fields, "{message}");
}

fn warn(plugin: &str, fields: &str, message: &str) {
    tracing::warn!(plugin.name = plugin, plugin.fields = fields, "{message}");
}

fn error(plugin: &str, fields: &str, message: &str) {
    tracing::error!(plugin.name = plugin, plugin.fields = fields, "{message}");
}

/// Without control characters, so that a line of a plugin cannot look like two.
fn plain(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_without_secrets() {
        let secrets = Secrets::default();
        secrets.set("token", "a-secret-value");
        let fields = vec![("url".to_owned(), "http://x/?t=a-secret-value\"\u{1b}[31m".to_owned()); 30];
        let (message, fields) = line(&secrets, "got a-secret-value\nplugin.name=other\0".to_owned(), fields);
        assert_eq!(message, "got *** plugin.name=other ");
        assert_eq!(fields.matches("url=\"http://x/?t=***\\\" [31m\"").count(), FIELDS);
        assert_eq!(line(&secrets, "x".repeat(1 << 20), Vec::new()).0.len(), MESSAGE);
    }
}
