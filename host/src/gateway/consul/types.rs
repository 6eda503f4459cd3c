//! Registrations as Consul's clients send them, and what is made of them; names of fields in whatever letters.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    SYSTEM,
    checks::{self, Checks},
};
use crate::{
    db::Json,
    gateway::{
        endpoint::Endpoint,
        fields::malformed,
        labels::{self, Labels},
    },
    http::error::ApiResult,
    ids::ServiceId,
    registry::{NewService, Said, Service},
};

/// The most that a service's share of the calls can be told as.
const MOST_WEIGHT: i64 = 65_535;

/// The fields of an object: Consul reads `ServiceID`, `serviceid` and `service_id` alike.
pub struct Names(BTreeMap<String, (String, Value)>);

impl Names {
    /// Reads an object.
    pub fn of(value: &Value) -> Option<Self> {
        let plain = |name: &str| name.replace(['_', '-'], "").to_lowercase();
        let fields = value.as_object()?.iter();
        Some(Self(fields.map(|(name, value)| (plain(name), (name.clone(), value.clone()))).collect()))
    }

    /// A field that is there and not null.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// A text that is not empty.
    pub fn text(&self, name: &str) -> Option<String> {
        self.value(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Whether a field says anything.
    pub fn says(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| {
            *value != json!("") && *value != json!([]) && *value != json!({}) && *value != json!(false)
        })
    }

    /// A duration in whole seconds, rounded up; as text (`10s`) or as a number of nanoseconds.
    pub fn seconds(&self, name: &str) -> ApiResult<Option<i64>> {
        let Some(value) = self.value(name).filter(|value| **value != json!("")) else { return Ok(None) };
        let read = match value {
            Value::String(text) => duration(text),
            value => value.as_u64().map(Duration::from_nanos),
        };
        let read =
            read.ok_or_else(|| malformed(format!("Request decode failed: invalid duration {value} of {name}")))?;
        Ok(Some(i64::try_from(read.as_millis().div_ceil(1000)).unwrap_or(i64::MAX)).filter(|seconds| *seconds > 0))
    }

    /// A check as it is kept: under the names that Consul gives.
    pub fn kept(&self) -> Value {
        let proper = [
            ("checkid", "CheckID"),
            ("id", "CheckID"),
            ("name", "Name"),
            ("notes", "Notes"),
            ("ttl", "TTL"),
            ("http", "HTTP"),
            ("tcp", "TCP"),
            ("grpc", "GRPC"),
            ("interval", "Interval"),
            ("timeout", "Timeout"),
            ("deregistercriticalserviceafter", "DeregisterCriticalServiceAfter"),
        ];
        let name = |plain: &str, own: &str| {
            proper.iter().find(|(known, _)| *known == plain).map_or(own, |(_, proper)| *proper).to_owned()
        };
        let said = self.0.iter().filter(|(plain, _)| self.says(plain));
        Value::Object(said.map(|(plain, (own, value))| (name(plain, own), value.clone())).collect())
    }
}

/// A duration as Go writes one: `1m30s`, `500ms`.
pub fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut nanos) = (text.trim(), 0.0_f64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let each = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        nanos += number.parse::<f64>().ok()? * each;
        rest = after;
    }
    Duration::try_from_secs_f64(nanos / 1e9).ok()
}

/// The tags that Consul's Tags and Meta make: what Meta says comes first.
pub fn tags(list: &[String], meta: &Labels) -> Labels {
    let own = list.iter().map(|tag| {
        let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
        (key.to_owned(), value.to_owned())
    });
    let mut all: Labels = own.filter(|(key, value)| labels::fits(key, value)).collect();
    all.extend(labels::tags(meta));
    labels::tags(&all)
}

/// Tags and Meta of a service: as they were sent, or as its tags make them.
pub fn tags_and_meta(service: &Service) -> (Vec<String>, Labels) {
    let sent = labels::kept(service, SYSTEM).map(|kept| {
        let list: Vec<String> =
            kept.get("tags").and_then(|tags| serde_json::from_value(tags.clone()).ok()).unwrap_or_default();
        (list, kept.get("meta").and_then(labels::read).unwrap_or_default())
    });
    if let Some((list, meta)) = sent
        && tags(&list, &meta) == *service.tags
    {
        return (list, meta);
    }
    let own = service.tags.iter();
    let list = own.map(|(key, value)| if value.is_empty() { key.clone() } else { format!("{key}={value}") });
    (list.collect(), service.tags.0.clone())
}

/// The weights of a service, as they were sent or as its weight makes them.
pub fn weights(service: &Service) -> Value {
    let sent = labels::kept(service, SYSTEM).and_then(|kept| kept.get("weights"));
    if let Some(sent) = sent.filter(|sent| sent["Passing"].as_i64().map(weight) == Some(service.weight)) {
        return sent.clone();
    }
    let passing = if service.weight == 0 { 0 } else { ((service.weight + 50) / 100).max(1) };
    json!({"Passing": passing, "Warning": passing.min(1)})
}

/// The weight that the registry has: 1 is its default, 100.
fn weight(passing: i64) -> i64 {
    passing.saturating_mul(100).clamp(0, 10_000)
}

/// Reads a registration; without an address it is that of the caller.
pub fn registration(body: &Value, caller: IpAddr) -> ApiResult<(NewService, Said)> {
    let fields = Names::of(body).ok_or_else(|| malformed("Request decode failed: not an object"))?;
    let name = fields.text("name").ok_or_else(|| malformed("Missing service name"))?;
    if fields.says("kind") || fields.says("connect") || fields.says("proxy") {
        return Err(malformed("Invalid service: a mesh is nothing that this server has"));
    }
    let address = fields.text("address").unwrap_or_else(|| caller.to_canonical().to_string());
    let port = fields.value("port").map_or(Some(0), Value::as_u64).and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or_else(|| malformed("Request decode failed: Port must be 0 to 65535"))?;
    let (list, meta) = (list(&fields)?, meta(&fields)?);
    let at = Endpoint { host: &address, port };
    let checks = Checks::read(&sent_checks(&fields)?, at)?;
    let passing = weights_sent(&fields)?;
    let mut kept = Map::new();
    kept.insert("tags".to_owned(), json!(list));
    kept.insert("meta".to_owned(), json!(meta));
    if let Some((passing, warning)) = passing {
        kept.insert("weights".to_owned(), json!({"Passing": passing, "Warning": warning}));
    }
    for (plain, own) in [("taggedaddresses", "tagged_addresses"), ("enabletagoverride", "enable_tag_override")] {
        kept.extend(fields.value(plain).map(|value| (own.to_owned(), value.clone())));
    }
    checks::keeping(&checks, &mut kept);
    let tags = Json(tags(&list, &meta));
    let new = NewService {
        service_id: ServiceId(fields.text("id").unwrap_or_else(|| name.clone())),
        service_type: labels::service_type(&tags, &name),
        service_url: url(at, &meta, checks.scheme)?,
        node_id: labels::node_id(&tags),
        cluster_id: meta.get("cluster_id").filter(|id| !id.is_empty()).cloned(),
        capabilities: Json::default(),
        config: labels::keeping(SYSTEM, kept),
        tags,
        weight: weight(passing.map_or(1, |(passing, _)| passing)),
        ttl_seconds: Some(checks.ttl_seconds),
        check: checks::column(checks.check),
        deregister_after_seconds: checks.deregister_after_seconds,
        service_name: name,
    };
    Ok((new, checks.said))
}

/// The URL of a service: by the scheme that its metadata give, or that it is checked by; 400 if these differ.
fn url(at: Endpoint<'_>, meta: &Labels, checked: Option<&'static str>) -> ApiResult<String> {
    let own = |label: &str| meta.get(label).map(String::as_str);
    let says = ["scheme", "secure"].iter().any(|label| meta.contains_key(*label));
    let url = at.url(|label| if says { own(label) } else { checked.filter(|_| label == "scheme") })?;
    match checked {
        Some(checked) if url.starts_with("https:") != (checked == "https") => {
            Err(malformed(format!("Invalid check: it asks by {checked}, which is not what the service's metadata say")))
        }
        _ => Ok(url),
    }
}

fn list(fields: &Names) -> ApiResult<Vec<String>> {
    let read = |value: &Value| {
        serde_json::from_value(value.clone()).map_err(|_| malformed("Request decode failed: Tags must be texts"))
    };
    fields.value("tags").map_or(Ok(Vec::new()), read)
}

fn meta(fields: &Names) -> ApiResult<Labels> {
    let read =
        |value: &Value| labels::read(value).ok_or_else(|| malformed("Request decode failed: Meta must be an object"));
    fields.value("meta").map_or(Ok(Labels::new()), read)
}

fn sent_checks(fields: &Names) -> ApiResult<Vec<Value>> {
    let one = fields.value("check").filter(|check| check.as_object().is_some_and(|check| !check.is_empty())).cloned();
    let more = match fields.value("checks") {
        None => Vec::new(),
        Some(Value::Array(checks)) => checks.clone(),
        Some(_) => return Err(malformed("Request decode failed: Checks must be a list")),
    };
    Ok(one.into_iter().chain(more).collect())
}

fn weights_sent(fields: &Names) -> ApiResult<Option<(i64, i64)>> {
    let Some(weights) = fields.value("weights").and_then(Names::of) else { return Ok(None) };
    let read =
        |name: &str| weights.value(name).map_or(Some(1), Value::as_i64).filter(|n| (0..=MOST_WEIGHT).contains(n));
    let read = read("passing").zip(read("warning"));
    read.map(Some).ok_or_else(|| malformed("Invalid Weights: must be 0 to 65535"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let seconds = |text| duration(text).map(|read| read.as_secs_f64());
        assert_eq!((seconds("10s"), seconds("1m30s"), seconds("500ms")), (Some(10.0), Some(90.0), Some(0.5)));
        assert_eq!((seconds("10"), seconds(""), seconds("s"), seconds("1x")), (None, None, None, None));
    }

    #[test]
    fn names_of_fields_may_be_written_in_any_letters() {
        let caller = IpAddr::from([192, 0, 2, 1]);
        let plain =
            json!({"Name": "x", "ID": "a", "Port": 80, "EnableTagOverride": true, "Checks": [{"TTL": "1500ms"}]});
        let other =
            json!({"name": "x", "id": "a", "port": 80, "enable_tag_override": true, "checks": [{"ttl": "1500ms"}]});
        let (plain, _) = registration(&plain, caller).unwrap();
        assert_eq!(plain, registration(&other, caller).unwrap().0);
        assert_eq!((plain.service_url.as_str(), plain.ttl_seconds), ("http://192.0.2.1:80", Some(2)));
    }
}
