//! Reading a configuration so that its faults say where they are.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::{Plugin, PluginError, Problem, problem};

/// Reads a configuration; a fault carries the JSON pointer to its place.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, PluginError> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json)
        .map_err(|error| PluginError::InvalidConfig(vec![problem(pointer(error.path()), error.inner().to_string())]))
}

/// Reads a plugin's configuration and checks it, so that a call never runs with one that `check` would refuse.
pub fn load<P: Plugin>(text: &str) -> Result<P::Config, PluginError> {
    let config = read::<P::Config>(text)?;
    let faults = P::faults(&config);
    if faults.is_empty() { Ok(config) } else { Err(PluginError::InvalidConfig(faults)) }
}

/// Every fault of a configuration; none means that it is good.
pub fn check<P: Plugin>(text: &str) -> Vec<Problem> {
    match load::<P>(text) {
        Ok(_) => Vec::new(),
        Err(PluginError::InvalidConfig(problems)) => problems,
        Err(other) => vec![problem("", format!("{other:?}"))],
    }
}

fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let step = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&step);
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only its type is looked at")]
        n: u32,
    }

    #[test]
    fn a_fault_names_its_place() {
        let error = read::<Vec<Inner>>(r#"[{"n": 1}, {"n": "x"}]"#).unwrap_err();
        let PluginError::InvalidConfig(problems) = error else { panic!("{error:?}") };
        assert_eq!(problems[0].pointer, "/1/n");
    }
}
