//! Who this plugin is, and reading its configuration so that a fault says where it is.

use serde_path_to_error::{Path, Segment};

use crate::{
    Component, Config,
    exports::looma::plugin::lifecycle::{Descriptor, Guest},
    looma::plugin::types::{PluginError, Problem},
};

impl Guest for Component {
    fn describe() -> Descriptor {
        Descriptor {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: env!("CARGO_PKG_DESCRIPTION").to_owned(),
            config_schema: include_str!("schema.json").to_owned(),
        }
    }

    fn check(config: String) -> Vec<Problem> {
        match read(&config) {
            Ok(_) => Vec::new(),
            Err(PluginError::InvalidConfig(problems)) => problems,
            Err(other) => vec![problem("", &format!("{other:?}"))],
        }
    }
}

/// The configuration, or every fault of it.
pub fn read(text: &str) -> Result<Config, PluginError> {
    let mut json = serde_json::Deserializer::from_str(if text.is_empty() { "{}" } else { text });
    let config: Config = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| PluginError::InvalidConfig(vec![problem(&pointer(error.path()), &error.inner().to_string())]))?;
    let faults = config.faults();
    if faults.is_empty() { Ok(config) } else { Err(PluginError::InvalidConfig(faults)) }
}

/// One fault of a configuration, at a JSON pointer.
pub fn problem(pointer: &str, message: &str) -> Problem {
    Problem { pointer: pointer.to_owned(), message: message.to_owned() }
}

fn pointer(path: &Path) -> String {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    };
    path.iter().map(step).collect()
}
