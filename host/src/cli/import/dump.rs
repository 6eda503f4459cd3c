//! The file: a JSON object of the old manager's dictionaries, in their order. What is wrong with it as a whole is told with its
//! place; what is wrong with a row is for `services` and `samples`.

use std::{collections::BTreeSet, fmt, path::Path};

use anyhow::{Context as _, bail};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess},
};
use serde_json::Value;

use super::report::below;

/// Dictionaries of configuration, as the old manager and the document of its tables name them.
const CONFIGURATION: [&str; 5] = ["cluster_configs", "service_configs", "configs", "config", "configuration"];

/// A dictionary, in its order.
#[derive(Debug, Default)]
pub struct Dictionary(pub Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Dictionary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Dictionary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a dictionary")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Dictionary, A::Error> {
                let (mut entries, mut known) = (Vec::new(), BTreeSet::new());
                while let Some(key) = map.next_key::<String>()? {
                    if !known.insert(key.clone()) {
                        return Err(de::Error::custom(format!("the key {key:?} stands there twice")));
                    }
                    entries.push((key, map.next_value()?));
                }
                Ok(Dictionary(entries))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// What was in memory.
#[derive(Debug, Default)]
pub struct Dump {
    /// Services, by id.
    pub services: Dictionary,
    /// Points, by service.
    pub metrics: Dictionary,
    /// Places of rows of configuration.
    pub configuration: Vec<String>,
    /// Places of what is none of these.
    pub others: Vec<String>,
}

impl<'de> Deserialize<'de> for Dump {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Dump;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of dictionaries")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Dump, A::Error> {
                let (mut dump, mut known) = (Dump::default(), BTreeSet::new());
                while let Some(key) = map.next_key::<String>()? {
                    if !known.insert(key.clone()) {
                        return Err(de::Error::custom(format!("{key} stands there twice")));
                    }
                    match key.as_str() {
                        "service_registry" => dump.services = map.next_value()?,
                        "metrics_history" => dump.metrics = map.next_value()?,
                        name if CONFIGURATION.contains(&name) => {
                            let Dictionary(entries) = map.next_value()?;
                            let place = below("", &key);
                            dump.configuration.extend(entries.iter().map(|(key, _)| below(&place, key)));
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            dump.others.push(below("", &key));
                        }
                    }
                }
                let dictionaries = ["service_registry", "metrics_history"].iter().chain(&CONFIGURATION);
                if !dictionaries.into_iter().any(|name| known.contains(*name)) {
                    return Err(de::Error::custom(
                        "holds neither service_registry nor metrics_history nor configuration",
                    ));
                }
                Ok(dump)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Reads a file.
pub fn read(file: &Path) -> anyhow::Result<Dump> {
    let shown = file.display();
    let bytes = std::fs::read(file).with_context(|| format!("could not read {shown}"))?;
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}'),
        Err(error) => bail!("{shown} is no text in UTF-8: byte {} is not", error.valid_up_to()),
    };
    match parse(text) {
        Ok(dump) => Ok(dump),
        Err(why) => bail!("{shown} is no dump of the old manager: {why}"),
    }
}

/// Reads a text, or says what is wrong with it, and where.
fn parse(text: &str) -> Result<Dump, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let dump = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let steps = error.path().iter().fold(String::new(), |place, step| match step {
            serde_path_to_error::Segment::Seq { index } => below(&place, index),
            serde_path_to_error::Segment::Map { key } => below(&place, key),
            _ => place,
        });
        let inner = error.into_inner();
        let place = if steps.is_empty() { String::new() } else { format!("{steps}: ") };
        format!("{place}{inner}{}", of_python(text, &inner))
    })?;
    json.end().map_err(|error| format!("something follows the object: {error}"))?;
    Ok(dump)
}

/// What Python writes that is no JSON, if that stands where the error is.
fn of_python(text: &str, error: &serde_json::Error) -> &'static str {
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let at = line.get(error.column().saturating_sub(2)..).unwrap_or_default();
    let at = at.trim_start_matches([' ', ':', ',', '[', '{', '-']);
    match at {
        _ if ["NaN", "Infinity", "None", "True", "False"].iter().any(|word| at.starts_with(word)) => {
            " (NaN, Infinity, None, True and False, as Python writes them, are no JSON)"
        }
        _ if at.starts_with('\'') => " (texts stand in double quotes: json.dump writes them so, print does not)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_dump_is_told_with_its_place() {
        for (text, place, told) in [
            ("", "", "EOF while parsing a value at line 1"),
            ("[]", "", "invalid type: sequence, expected an object of dictionaries at line 1"),
            ("{}", "", "holds neither service_registry nor metrics_history nor configuration at line 1"),
            (
                r#"{"service_registry": []}"#,
                "/service_registry",
                "invalid type: sequence, expected a dictionary at line 1",
            ),
            (
                r#"{"metrics_history": "x"}"#,
                "/metrics_history",
                "invalid type: string \"x\", expected a dictionary at line 1",
            ),
            (
                r#"{"service_registry": {"a": {}, "a": {}}}"#,
                "/service_registry",
                "the key \"a\" stands there twice at line 1",
            ),
            (r#"{"configs": {}, "configs": {}}"#, "", "configs stands there twice"),
            ("{\"metrics_history\": {\"a\": [\n {\"cpu\": NaN}]}}", "/metrics_history/a", " (NaN, Infinity, None"),
            (r#"{"metrics_history": {"a": [{"cpu": -Infinity}]}}"#, "/metrics_history/a", "line 1"),
            (r#"{"service_registry": {"a": {"url": None}}}"#, "/service_registry/a", " (NaN, Infinity, None"),
            ("{'service_registry': {}}", "", " (texts stand in double quotes"),
            (r#"{"service_registry": {"a/b": {"x": 1,}}}"#, "/service_registry/a~1b", "trailing comma at line 1"),
            (r#"{"service_registry": {"a": {"x": tru}}}"#, "/service_registry/a", "expected ident at line 1"),
            (r#"{"service_registry": {}"#, "", "EOF while parsing an object at line 1"),
            (r#"{"service_registry": {}} {}"#, "something follows the object: ", "trailing characters at line 1"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(place) && error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_there_keeps_its_order() {
        let dump = parse(r#"{"service_registry": {"b": 1, "a": 2}, "service_configs": {"k": 1}, "x": [1]}"#).unwrap();
        let keys: Vec<&str> = dump.services.0.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            (keys, dump.configuration, dump.others),
            (vec!["b", "a"], vec!["/service_configs/k".to_owned()], vec!["/x".to_owned()])
        );
    }
}
