//! Checking a plugin that somebody names, with the configuration they mean for it, before anything is saved.

use super::Plugins;
use super::types::{CallError, Kind, PluginName};
use crate::http::error::Faults;

impl Plugins {
    /// Adds what is wrong with the name of a plugin (said at a pointer), its kind, or a configuration for it, under `/config`.
    /// A plugin that is there and does not serve now is not asked.
    pub async fn check_named(&self, kind: Kind, named: (&str, &str), config: &str, faults: &mut Faults) {
        let (pointer, name) = named;
        let name = match name.parse::<PluginName>() {
            Ok(name) => name,
            Err(why) => return faults.add(pointer, why),
        };
        match self.check(&name, kind, config).await {
            Ok(problems) => {
                for problem in problems {
                    faults.add(format!("/config{}", problem.pointer), problem.message);
                }
            }
            Err(CallError::Unknown(_)) => faults.add(pointer, format!("there is no plugin {:?}", name.as_str())),
            Err(error @ CallError::WrongKind { .. }) => faults.add(pointer, error.to_string()),
            Err(error @ (CallError::Limit(_) | CallError::InvalidInput(_))) => faults.add("/config", error.to_string()),
            Err(error) => {
                tracing::warn!(plugin.name = %name, %error, "could not check a configuration: it is taken unchecked");
            }
        }
    }

    /// Says which plugin and configuration `owner` (as `rule:ID`) uses from now on; `None` when it is gone.
    pub fn note_use(&self, owner: &str, used: Option<(&str, String)>) {
        match used.map(|(name, config)| (name.parse::<PluginName>(), config)) {
            Some((Ok(plugin), config)) => self.use_config(owner, &plugin, &config),
            _ => self.forget_config(owner),
        }
    }
}
