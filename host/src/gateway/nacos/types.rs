//! Instances as Nacos has them, and as services of the registry; there and back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    DEFAULT_CLUSTER,
    names::{InstanceKey, ServiceKey},
};
use crate::{
    db::Json,
    gateway::{
        endpoint::Endpoint,
        fields::{Fields, malformed},
        labels::{self, Labels},
    },
    http::error::ApiResult,
    registry::{Check, CheckKind, Health, NewService, Said, Seen, Service, ServiceStatus},
};

/// What `config` keeps of Nacos.
pub const SYSTEM: &str = "nacos";

/// The time between beats that a client gets to know when it does not say, of a lease that does not either.
const BEAT_MILLIS: i64 = 5000;

/// What is said of an instance; what is not said is `None`.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    weight: Option<f64>,
    enabled: Option<bool>,
    healthy: Option<bool>,
    ephemeral: Option<bool>,
    metadata: Option<Labels>,
}

/// The body of a full beat.
#[derive(Debug, Deserialize)]
pub struct Beat {
    /// The address of who beats.
    pub ip: String,
    /// Its port.
    pub port: i64,
    /// Its cluster.
    #[serde(default)]
    pub cluster: Option<String>,
    #[serde(default, rename = "serviceName")]
    service_name: Option<String>,
    #[serde(default)]
    weight: Option<f64>,
    #[serde(default)]
    metadata: Option<Value>,
}

impl Beat {
    /// Reads a full beat.
    pub fn read(text: &str) -> ApiResult<Self> {
        serde_json::from_str(text).map_err(|error| malformed(format!("Param 'beat' is not right: {error}")))
    }

    /// The instance that beats; `fields` are those of the request.
    pub fn key(&self, fields: &Fields) -> ApiResult<InstanceKey> {
        let service = match (fields.has("serviceName"), &self.service_name) {
            (false, Some(name)) => ServiceKey::named(super::names::namespace(fields), fields.get("groupName"), name),
            _ => ServiceKey::read(fields)?,
        };
        InstanceKey::at(service, self.cluster.as_deref(), &self.ip, self.port)
    }

    /// What it says of the instance.
    pub fn sent(&self) -> Sent {
        Sent { weight: self.weight, metadata: self.metadata.as_ref().and_then(labels::read), ..Sent::default() }
    }
}

impl Sent {
    /// What a request says of an instance.
    pub fn read(fields: &Fields) -> ApiResult<Self> {
        let weight = fields.parsed("weight")?;
        if let Some(weight) = weight.filter(|weight| !(0.0..=10_000.0).contains(weight)) {
            let range = "The weights range from 0.0 to 10000.0";
            return Err(malformed(format!("instance format invalid: {range}, is {weight}")));
        }
        Ok(Self {
            weight,
            enabled: fields.flag("enabled").or_else(|| fields.flag("enable")),
            healthy: fields.flag("healthy"),
            ephemeral: fields.flag("ephemeral"),
            metadata: fields.get("metadata").map(metadata).transpose()?,
        })
    }

    /// The service that an instance is; `default_ttl` is for ephemeral ones that do not say.
    pub fn service(self, key: &InstanceKey, default_ttl: u32) -> ApiResult<(NewService, Said)> {
        let Self { weight, enabled, healthy, ephemeral, metadata } = self;
        let (metadata, weight) = (metadata.unwrap_or_default(), weight.unwrap_or(1.0).clamp(0.0, 10_000.0));
        let tags = Json(labels::tags(&metadata));
        let mut kept = Map::new();
        if *tags != metadata {
            kept.insert("metadata".to_owned(), json!(metadata));
        }
        if hundredth(rounded(weight)) != weight {
            kept.insert("weight".to_owned(), json!(weight));
        }
        let ephemeral = ephemeral.unwrap_or(true);
        let service_name = key.service.registered();
        let new = NewService {
            service_id: key.service_id(),
            service_type: labels::service_type(&tags, &key.service.name),
            service_url: Endpoint { host: &key.ip, port: key.port }
                .url(|name| metadata.get(name).map(String::as_str))?,
            node_id: labels::node_id(&tags),
            cluster_id: Some(key.cluster.clone()).filter(|cluster| cluster != DEFAULT_CLUSTER),
            capabilities: Json::default(),
            config: labels::keeping(SYSTEM, kept),
            weight: rounded(weight),
            ttl_seconds: Some(if ephemeral { ttl(&metadata, default_ttl) } else { 0 }),
            // Nobody beats for these: the server asks whether something listens, as Nacos' does.
            check: (!ephemeral && key.port > 0).then(|| Json(tcp())),
            deregister_after_seconds: if ephemeral { deregister_after(&metadata, default_ttl) } else { None },
            tags,
            service_name,
        };
        let health = if healthy.unwrap_or(true) { Health::Healthy } else { Health::Critical };
        // Who was switched off by somebody is not on again because its client registers anew.
        let enabled = enabled.filter(|enabled| !enabled);
        Ok((new, Said { first: Some(health), enabled, report: None }))
    }

    /// A change of a service that is there.
    pub fn amended(self, service: &Service) -> (NewService, Said) {
        let Self { weight: said_weight, enabled, healthy: _, ephemeral: _, metadata: said_metadata } = self;
        let mut new = service.registration();
        let mut kept = labels::kept(service, SYSTEM).cloned().unwrap_or_default();
        if let Some(metadata) = said_metadata {
            new.tags = Json(labels::tags(&metadata));
            kept.remove("metadata");
            if *new.tags != metadata {
                kept.insert("metadata".to_owned(), json!(metadata));
            }
        }
        if let Some(weight) = said_weight {
            new.weight = rounded(weight);
            kept.remove("weight");
            if hundredth(new.weight) != weight {
                kept.insert("weight".to_owned(), json!(weight));
            }
        }
        new.config.remove(SYSTEM);
        new.config.extend(labels::keeping(SYSTEM, kept).0);
        (new, Said { enabled, ..Said::default() })
    }
}

/// JSON, or `k=v,k=v`.
fn metadata(text: &str) -> ApiResult<Labels> {
    if let Some(read) = serde_json::from_str(text).ok().as_ref().and_then(labels::read) {
        return Ok(read);
    }
    let pairs = text.split(',').map(|pair| pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())));
    let pairs: Option<Labels> = pairs.collect();
    pairs.ok_or_else(|| malformed(format!("metadata format incorrect:{text}")))
}

/// A TCP connection every 20 s.
fn tcp() -> Check {
    Check {
        kind: CheckKind::Tcp,
        path: None,
        expected_status: None,
        grpc_service: None,
        interval_seconds: 20,
        timeout_seconds: 3,
        healthy_after: 1,
        critical_after: 3,
    }
}

fn ttl(metadata: &Labels, default: u32) -> i64 {
    let said = metadata.get("preserved.heart.beat.timeout").and_then(|millis| millis.parse::<i64>().ok());
    let seconds = said.map_or(i64::from(default), |millis| (millis + 999) / 1000);
    if said.is_none() && seconds == 0 { 15 } else { seconds.clamp(1, 86_400) }
}

/// How long an instance is critical before it is removed: Nacos counts from the last beat, the registry from the end of the
/// lease. `None` where it does not say.
fn deregister_after(metadata: &Labels, default_ttl: u32) -> Option<i64> {
    let millis = metadata.get("preserved.ip.delete.timeout")?.parse::<i64>().ok().filter(|millis| *millis > 0)?;
    let seconds = millis / 1000 + i64::from(millis % 1000 > 0);
    Some((seconds - ttl(metadata, default_ttl)).clamp(1, 2_592_000))
}

/// How often an instance shall beat, in milliseconds.
pub fn beat_interval(service: &Service) -> i64 {
    let said = service.tags.get("preserved.heart.beat.interval").and_then(|millis| millis.parse().ok());
    let said = said.filter(|millis| *millis >= 1000);
    said.unwrap_or(if service.ttl_seconds > 0 { service.ttl_seconds * 1000 / 3 } else { BEAT_MILLIS })
}

/// The weight that the registry has: 1.0 is its default, 100.
fn rounded(weight: f64) -> i64 {
    // 0 to 10,000: what is larger than the registry takes is kept beside it.
    ((weight * 100.0).round() as i64).clamp(0, 10_000)
}

fn hundredth(weight: i64) -> f64 {
    weight as f64 / 100.0
}

fn weight(service: &Service) -> f64 {
    let kept = labels::kept(service, SYSTEM).and_then(|kept| kept.get("weight")?.as_f64());
    kept.filter(|kept| rounded(*kept) == service.weight).unwrap_or_else(|| hundredth(service.weight))
}

fn metadata_of(service: &Service) -> Labels {
    let kept = labels::kept(service, SYSTEM).and_then(|kept| labels::read(kept.get("metadata")?));
    kept.filter(|kept| labels::tags(kept) == *service.tags).unwrap_or_else(|| service.tags.0.clone())
}

fn is_ephemeral(service: &Service) -> bool {
    service.ttl_seconds > 0
}

/// The instances of a service, as `instance/list` shows them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct List<'l> {
    /// Group and name.
    pub name: &'l str,
    /// The same, for older clients.
    pub dom: &'l str,
    /// The group.
    pub group_name: &'l str,
    /// The clusters that were asked for.
    pub clusters: &'l str,
    /// How soon to ask again.
    pub cache_millis: u32,
    /// Them.
    pub hosts: Vec<Host>,
    /// Now.
    pub last_ref_time: i64,
    /// Changes when they do.
    pub checksum: String,
    /// Whether this is more than was asked for: it never is.
    #[serde(rename = "allIPs")]
    pub all_ips: bool,
    /// Whether leases that ran out are held back. Who is not alive is shown so all the same.
    pub reach_protection_threshold: bool,
    /// Whether it can be relied on.
    pub valid: bool,
}

/// One instance, as `instance/list` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// Its id, as Nacos makes one.
    pub instance_id: String,
    ip: String,
    port: u16,
    weight: f64,
    /// Whether it is alive.
    pub healthy: bool,
    /// Whether it is to be shown at all.
    pub enabled: bool,
    ephemeral: bool,
    cluster_name: String,
    service_name: String,
    metadata: Labels,
    valid: bool,
    marked: bool,
    instance_heart_beat_interval: i64,
    instance_heart_beat_time_out: i64,
}

impl Host {
    /// A service of the registry; `None` if it has no port.
    pub fn of(seen: &Seen, of: &ServiceKey) -> Option<Self> {
        let service = &*seen.service;
        let Endpoint { host, port } = Endpoint::of(&service.service_url)?;
        let cluster = service.cluster_id.clone().unwrap_or_else(|| DEFAULT_CLUSTER.to_owned());
        let key = InstanceKey { service: of.clone(), cluster, ip: host.to_owned(), port };
        let healthy = seen.is_alive();
        Some(Self {
            instance_id: key.instance_id(),
            weight: weight(service),
            healthy,
            enabled: seen.is_enabled(),
            ephemeral: is_ephemeral(service),
            service_name: of.grouped(),
            metadata: metadata_of(service),
            valid: healthy,
            marked: service.status == ServiceStatus::Failed,
            instance_heart_beat_interval: beat_interval(service),
            instance_heart_beat_time_out: service.ttl_seconds * 1000,
            cluster_name: key.cluster,
            ip: key.ip,
            port,
        })
    }

    /// Whether it is in one of these clusters, separated by commas; all are meant when none is named.
    pub fn is_in(&self, clusters: &str) -> bool {
        let mut named = clusters.split(',').map(str::trim).filter(|name| !name.is_empty()).peekable();
        named.peek().is_none() || named.any(|name| name == self.cluster_name)
    }

    /// As `instance` shows it.
    pub fn detail(&self) -> Value {
        json!({
            "service": self.service_name, "ip": self.ip, "port": self.port, "clusterName": self.cluster_name,
            "weight": self.weight, "healthy": self.healthy, "enabled": self.enabled, "ephemeral": self.ephemeral,
            "instanceId": self.instance_id, "metadata": self.metadata,
        })
    }
}
