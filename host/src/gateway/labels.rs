//! Metadata of other systems, which may be anything, and the tags of the registry, which may not.
//!
//! What fits is a tag. The whole is kept beside the tags where some of it did not fit; it counts while the tags are those
//! that it makes, so that a change of the tags is seen by clients of other systems too.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    ids::NodeId,
    registry::{Object, Service, Tags},
};

/// Metadata, by key.
pub type Labels = BTreeMap<String, String>;

const MOST_TAGS: usize = 64;

/// The tags that metadata make.
pub fn tags(labels: &Labels) -> Labels {
    let fitting = labels.iter().filter(|(key, value)| fits(key, value));
    fitting.take(MOST_TAGS).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Whether the registry takes it as a tag.
pub fn fits(key: &str, value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=100).contains(&key.len()) && key.chars().all(plain) && value.chars().count() <= 500 && !value.contains('\0')
}

/// What a client of another system said beside what the registry has fields for.
pub fn kept<'s>(service: &'s Service, system: &str) -> Option<&'s serde_json::Map<String, Value>> {
    service.config.get(system)?.as_object()
}

/// The `config` of a service of which a client of another system said more than the registry has fields for.
pub fn keeping(system: &str, said: serde_json::Map<String, Value>) -> Object {
    let mut config = Object::default();
    if !said.is_empty() {
        config.insert(system.to_owned(), Value::Object(said));
    }
    config
}

/// A JSON object as metadata: values that are no texts are written as JSON.
pub fn read(value: &Value) -> Option<Labels> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = value.as_object()?;
    Some(fields.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.clone(), text(value))).collect())
}

/// The type that metadata give (`service_type`), or the name.
pub fn service_type(tags: &Tags, name: &str) -> String {
    let said = tags.get("service_type").filter(|kind| !kind.trim().is_empty());
    said.map_or(name, String::as_str).chars().take(50).collect()
}

/// The node that metadata give (`node_id`), if that can be one.
pub fn node_id(tags: &Tags) -> Option<NodeId> {
    let id = tags.get("node_id")?;
    let good = !id.is_empty() && id.trim() == id && id.chars().count() <= 100 && !id.contains('/');
    good.then(|| NodeId::from(id.as_str()))
}
