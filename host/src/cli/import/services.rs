//! A service of the old manager, as one that can be registered. Nothing is dropped in silence: what the registry has no field for
//! stays in `config.legacy`. What the server sees for itself (health, times) is not taken.

use serde_json::{Map, Value, json};

use crate::{
    db::Json,
    ids::{NodeId, ServiceId},
    registry::{NewService, Object, Tags},
};

/// Fields that the server finds out for itself, or that only the old manager's tables had.
const SEEN: [&str; 9] = [
    "id",
    "health_status",
    "last_heartbeat",
    "registered_at",
    "updated_at",
    "created_at",
    "last_seen",
    "last_check",
    "uptime",
];
/// The longest type that a service may have.
const TYPE: usize = 50;

/// A service that can be registered.
#[derive(Debug)]
pub struct Read {
    /// What is registered.
    pub service: NewService,
    /// Whether it was switched off.
    pub is_off: bool,
    /// What is not as it stood in the file.
    pub changes: Vec<String>,
}

/// The fields that are left, and what was changed of those that were taken.
struct Fields {
    left: Map<String, Value>,
    changes: Vec<String>,
}

impl Fields {
    /// The first of these fields that says something.
    fn take(&mut self, names: &[&str]) -> Option<(String, Value)> {
        let found = names.iter().find(|name| self.left.get(**name).is_some_and(|value| !value.is_null()))?;
        Some(((*found).to_owned(), self.left.remove(*found)?))
    }

    fn text(&mut self, names: &[&str]) -> Result<Option<String>, String> {
        let Some((name, value)) = self.take(names) else { return Ok(None) };
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => {
                self.changes.push(format!("{name}: the number {number} is taken as a text"));
                number.to_string()
            }
            other => return Err(format!("{name} must be a text, is {}", kind(&other))),
        };
        let trimmed = text.trim();
        if trimmed != text {
            self.changes.push(format!("{name}: spaces around it are left out"));
        }
        Ok(Some(trimmed.to_owned()).filter(|text| !text.is_empty()))
    }

    fn number(&mut self, name: &str) -> Result<Option<i64>, String> {
        let Some((_, value)) = self.take(&[name]) else { return Ok(None) };
        value.as_i64().map(Some).ok_or_else(|| format!("{name} must be a whole number, is {}", kind(&value)))
    }

    fn object(&mut self, name: &str) -> Result<Map<String, Value>, String> {
        match self.take(&[name]) {
            None => Ok(Map::new()),
            Some((_, Value::Object(object))) => Ok(object),
            Some((_, Value::Array(list))) if list.iter().all(Value::is_string) => {
                self.changes.push(format!("{name}: the list is taken as an object of its items, each true"));
                let item = |item: Value| Some((item.as_str()?.to_owned(), json!(true)));
                Ok(list.into_iter().filter_map(item).collect())
            }
            Some((_, other)) => Err(format!("{name} must be an object, is {}", kind(&other))),
        }
    }

    fn tags(&mut self) -> Result<Tags, String> {
        let mut tags = std::collections::BTreeMap::new();
        match self.take(&["tags"]) {
            None => {}
            Some((_, Value::Object(object))) => {
                for (key, value) in object {
                    let text = match value {
                        Value::String(text) => text,
                        Value::Number(_) | Value::Bool(_) => {
                            self.changes.push(format!("tags/{key}: {value} is taken as a text"));
                            value.to_string()
                        }
                        other => return Err(format!("tags/{key} must be a text, is {}", kind(&other))),
                    };
                    tags.insert(key, text);
                }
            }
            Some((_, Value::Array(list))) => {
                for item in list {
                    let tag = item.as_str().ok_or_else(|| format!("tags must be texts, one is {}", kind(&item)))?;
                    tags.insert(tag.to_owned(), String::new());
                }
                self.changes.push("tags: the list is taken as tags without values".to_owned());
            }
            Some((_, other)) => return Err(format!("tags must be an object or a list, are {}", kind(&other))),
        }
        Ok(Json(tags))
    }

    /// `service_url`, or one that is made of a host and a port.
    fn url(&mut self) -> Result<String, String> {
        if let Some(url) = self.text(&["service_url", "url"])? {
            if url.contains("://") {
                return Ok(url);
            }
            let url = format!("http://{url}");
            self.changes.push(format!("service_url: it has no scheme, and is taken as {url}"));
            return Ok(url);
        }
        let host = self.text(&["host", "host_address", "ip", "address"])?;
        let host = host.ok_or("it has neither a service_url nor a host")?;
        let port = self.number("port")?.ok_or("it has a host, and neither a service_url nor a port")?;
        let url = if host.contains(':') { format!("http://[{host}]:{port}") } else { format!("http://{host}:{port}") };
        self.changes.push(format!("service_url: it is made of host and port, {url}"));
        Ok(url)
    }
}

/// What a value is, for messages.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The id that a key of the old manager is here, and what was changed of it.
pub fn id(key: &str) -> (ServiceId, Option<String>) {
    let id: String = key.trim().chars().map(|c| if c == '/' || c.is_control() { '-' } else { c }).collect();
    let change = (id != key).then(|| format!("service_id: {key:?} is taken as {id:?}"));
    (ServiceId(id), change)
}

/// Reads the service of a key; `ttl` is how long it lives without a heartbeat if it does not say. Tells every fault.
pub fn read(key: &str, value: Value, ttl: i64) -> Result<Read, Vec<String>> {
    let Value::Object(left) = value else { return Err(vec![format!("it must be an object, is {}", kind(&value))]) };
    let (service_id, change) = id(key);
    let mut fields = Fields { left, changes: change.into_iter().collect() };
    let read = parts(key, service_id, &mut fields, ttl).map_err(|fault| vec![fault])?;
    let (service, is_off) = read;
    if let Err(faults) = service.check() {
        let told =
            |fault: crate::http::error::Fault| format!("{} {}", fault.pointer.trim_start_matches('/'), fault.message);
        return Err(faults.into_vec().into_iter().map(told).collect());
    }
    Ok(Read { service, is_off, changes: fields.changes })
}

fn parts(key: &str, service_id: ServiceId, fields: &mut Fields, ttl: i64) -> Result<(NewService, bool), String> {
    if let Some(said) = fields.text(&["service_id"])?
        && said != key.trim()
    {
        return Err(format!("it stands under {key:?} and says that its service_id is {said:?}"));
    }
    let name = fields.text(&["service_name", "name"])?;
    let service_name = name.unwrap_or_else(|| {
        fields.changes.push("service_name: it has none, and takes its id".to_owned());
        service_id.0.clone()
    });
    let kind = fields.text(&["service_type", "type"])?;
    let service_type = kind.unwrap_or_else(|| {
        fields.changes.push("service_type: it has none, and takes its name".to_owned());
        service_name.chars().take(TYPE).collect()
    });
    let service_url = fields.url()?;
    let node_id = fields.text(&["node_id"])?.map(NodeId);
    let cluster_id = fields.text(&["cluster_id"])?;
    let (capabilities, mut config) = (fields.object("capabilities")?, fields.object("config")?);
    let tags = fields.tags()?;
    let weight = fields.number("weight")?.unwrap_or(100);
    let ttl_seconds = Some(fields.number("ttl_seconds")?.unwrap_or(ttl));
    let is_off = fields.text(&["status"])?.is_some_and(|status| status == "inactive");
    fields.left.retain(|name, value| !SEEN.contains(&name.as_str()) && !value.is_null());
    if !fields.left.is_empty() {
        let names: Vec<&str> = fields.left.keys().map(String::as_str).collect();
        fields.changes.push(format!("{}: kept in config.legacy", names.join(", ")));
        config.insert("legacy".to_owned(), Value::Object(std::mem::take(&mut fields.left)));
    }
    let (capabilities, config): (Object, Object) = (Json(capabilities), Json(config));
    let service = NewService {
        service_id,
        service_name,
        service_type,
        service_url,
        node_id,
        cluster_id,
        capabilities,
        config,
        tags,
        weight,
        ttl_seconds,
        check: None,
        deregister_after_seconds: None,
    };
    Ok((service, is_off))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(key: &str, value: Value) -> String {
        read(key, value, 0).unwrap_err().join("; ")
    }

    #[test]
    fn what_is_whole_is_taken_as_it_stands() {
        let value = json!({"service_id": "ai-1", "service_name": "ai", "service_type": "ai-service", "service_url": "http://10.0.0.7:8002", "node_id": "n1",
            "cluster_id": "c", "capabilities": {"models": ["bge"]}, "config": {"x": 1}, "tags": {"zone": "a"}, "status": "active", "health_status": "healthy",
            "last_heartbeat": "2025-09-20T10:00:00", "registered_at": 1_758_362_400.5});
        let Read { service, is_off, changes } = read("ai-1", value, 30).unwrap();
        assert_eq!(
            (changes, is_off, service.ttl_seconds, service.weight),
            (Vec::<String>::new(), false, Some(30), 100)
        );
        assert_eq!(
            (&service.config["x"], service.tags["zone"].as_str(), service.node_id),
            (&json!(1), "a", Some("n1".into()))
        );
    }

    #[test]
    fn what_is_changed_is_told() {
        let value = json!({"host": " 10.0.0.7", "port": 8001, "capabilities": ["a", "b"], "tags": ["v1"], "status": "inactive", "version": "1.2", "response_time": 0.2});
        let Read { service, is_off, changes } = read(" a/b", value, 0).unwrap();
        assert_eq!(
            (service.service_id.as_str(), service.service_name.as_str(), service.service_url.as_str(), is_off),
            ("a-b", "a-b", "http://10.0.0.7:8001", true)
        );
        assert_eq!(service.config["legacy"], json!({"version": "1.2", "response_time": 0.2}));
        assert_eq!((service.capabilities["b"].clone(), service.tags.contains_key("v1")), (json!(true), true));
        let expected = [
            "service_id: \" a/b\" is",
            "service_name: ",
            "service_type: ",
            "host: spaces",
            "service_url: it is made",
            "capabilities: ",
            "tags: ",
            "response_time, version: kept",
        ];
        assert_eq!(changes.len(), expected.len(), "{changes:?}");
        for (change, expected) in changes.iter().zip(expected) {
            assert!(change.starts_with(expected), "{change}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (value, told) in [
            (json!(7), "it must be an object, is a number"),
            (json!({}), "it has neither a service_url nor a host"),
            (json!({"host": "h"}), "it has a host, and neither a service_url nor a port"),
            (json!({"host": "h", "port": "x"}), "port must be a whole number, is a text"),
            (
                json!({"service_id": "b", "url": "http://h"}),
                "it stands under \"a\" and says that its service_id is \"b\"",
            ),
            (json!({"name": ["x"], "url": "http://h"}), "name must be a text, is a list"),
            (json!({"url": "ftp://h"}), "service_url must begin with http, https, tcp or grpc"),
            (json!({"url": "http://u:p@h"}), "service_url must not hold a user or a password"),
            (json!({"url": "http://h", "capabilities": 3}), "capabilities must be an object, is a number"),
            (json!({"url": "http://h", "tags": {"a b": "x"}}), "tags/a b a key has 1 to 100"),
            (
                json!({"url": "http://h", "weight": 20_000, "ttl_seconds": -1}),
                "weight must be 0 to 10000; ttl_seconds must be",
            ),
        ] {
            let found = faults("a", value.clone());
            assert!(found.starts_with(told), "{value}: {found}");
        }
    }
}
