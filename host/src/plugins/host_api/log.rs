//! `looma:host/log`: lines of a plugin in the host's log, under its name, bounded in number and length.

use crate::plugins::bindings::looma::host::log::{Host, Level};

use super::{Ctx, Interface};
use crate::plugins::share::LogLine;

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
        let message = plain(&message, MESSAGE);
        let fields =
            fields.iter().take(FIELDS).map(|(key, value)| format!("{}={:?}", plain(key, 60), plain(value, 500)));
        let fields = fields.collect::<Vec<_>>().join(" ");
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
