//! Reading a configuration so that its faults say where they are, and each once.

use std::{any::Any, cell::RefCell, rc::Rc};

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

/// Configurations that an instance keeps. Rules of one plugin take turns on its instances, and most have few configurations.
const KEPT: usize = 8;

thread_local! {
    /// What was read last, the newest at the end.
    static READ: RefCell<Vec<(String, Rc<dyn Any>)>> = const { RefCell::new(Vec::new()) };
}

/// What `load` gives, read once an instance while the same texts come again. A configuration is all that is kept of a call, and it
/// follows from its text alone, so that no call can tell.
pub fn known<P: Plugin>(text: &str) -> Result<Rc<P::Config>, PluginError> {
    let kept =
        READ.with_borrow(|read| read.iter().rfind(|(known, _)| known == text).map(|(_, config)| Rc::clone(config)));
    if let Some(config) = kept.and_then(|config| config.downcast::<P::Config>().ok()) {
        return Ok(config);
    }
    let config = Rc::new(load::<P>(text)?);
    READ.with_borrow_mut(|read| {
        read.retain(|(known, _)| known != text);
        if read.len() == KEPT {
            read.remove(0);
        }
        let config: Rc<dyn Any> = config.clone();
        read.push((text.to_owned(), config));
    });
    Ok(config)
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

    struct Counts;

    impl Plugin for Counts {
        type Config = std::collections::BTreeMap<String, u32>;
        const NAME: &'static str = "counts";
        const VERSION: &'static str = "1.0.0";
        const SUMMARY: &'static str = "";
        const SCHEMA: &'static str = "{}";
    }

    #[test]
    fn a_text_is_read_once_while_few_others_come_between() {
        let text = |n: usize| format!(r#"{{"n": {n}}}"#);
        let first = known::<Counts>(&text(0)).unwrap();
        assert_eq!(first["n"], 0);
        (1..KEPT).for_each(|n| assert_eq!(known::<Counts>(&text(n)).unwrap()["n"] as usize, n));
        assert!(Rc::ptr_eq(&first, &known::<Counts>(&text(0)).unwrap()));
        known::<Counts>(&text(KEPT)).unwrap();
        assert!(!Rc::ptr_eq(&first, &known::<Counts>(&text(0)).unwrap()));
        READ.with_borrow(|read| assert_eq!(read.len(), KEPT));
    }

    #[test]
    fn what_cannot_be_read_is_told_each_time() {
        known::<Counts>("[]").unwrap_err();
        known::<Counts>("[]").unwrap_err();
    }
}
