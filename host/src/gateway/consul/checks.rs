//! Checks as Consul has them: read from a registration, and shown of a service.

use serde_json::{Map, Value, json};

use super::{AGENT_NODE, SYSTEM, types::Names};
use crate::{
    db::Json,
    gateway::{endpoint::Endpoint, fields::malformed, labels},
    http::error::ApiResult,
    ids::{NodeId, ServiceId},
    registry::{Check, CheckKind, Health, Node, Registry, Said, Seen, Service, ServiceStatus, Watched},
};

/// The shortest time after which Consul removes what stays critical.
const SOONEST_REMOVAL: i64 = 60;
/// The longest that the registry takes.
const LATEST_REMOVAL: i64 = 2_592_000;

/// What the checks of a registration come to.
#[derive(Debug, Default)]
pub struct Checks {
    /// How long it lives without being told of; 0: there is no such check.
    pub ttl_seconds: i64,
    /// What the server asks.
    pub check: Option<Check>,
    /// By which scheme, where it asks over HTTP.
    pub scheme: Option<&'static str>,
    /// How long it is critical before it is removed: the soonest that a check says.
    pub deregister_after_seconds: Option<i64>,
    /// What is said of it from the start: a report, and what the check that the server makes begins with.
    pub said: Said,
    /// As they were sent, for answers.
    pub kept: Vec<Value>,
}

impl Checks {
    /// Reads the checks of a service that answers at `at`: one with a TTL and one that the server makes, at most.
    pub fn read(sent: &[Value], at: Endpoint<'_>) -> ApiResult<Self> {
        let mut all = Self::default();
        if sent.is_empty() {
            all.said = Said::reporting(Health::Healthy, None);
        }
        for one in sent {
            let fields = Names::of(one).ok_or_else(|| malformed("Request decode failed: a check is no object"))?;
            all.add(&fields, at)?;
            all.kept.push(fields.kept());
        }
        Ok(all)
    }

    fn add(&mut self, fields: &Names, at: Endpoint<'_>) -> ApiResult<()> {
        if ["script", "args", "dockercontainerid", "shell"].iter().any(|name| fields.says(name)) {
            return Err(malformed("Invalid check: Scripts are disabled on this agent"));
        }
        if let Some(after) = fields.seconds("deregistercriticalserviceafter")? {
            let after = after.clamp(SOONEST_REMOVAL, LATEST_REMOVAL);
            self.deregister_after_seconds =
                Some(self.deregister_after_seconds.map_or(after, |sooner| sooner.min(after)));
        }
        let health = match fields.text("status").unwrap_or_default().as_str() {
            "passing" => Some(Health::Healthy),
            "warning" => Some(Health::Warning),
            "critical" => Some(Health::Critical),
            _ => None,
        };
        if let Some(ttl) = fields.seconds("ttl")? {
            self.said.report = health.and_then(|health| Said::reporting(health, None).report);
            let twice = std::mem::replace(&mut self.ttl_seconds, ttl.clamp(1, 86_400)) != 0;
            return if twice { Err(malformed("Invalid checks: one with a TTL is all that is kept")) } else { Ok(()) };
        }
        self.said.first = health;
        let (check, scheme) = made(fields, at)?;
        self.scheme = scheme;
        match self.check.replace(check) {
            Some(_) => Err(malformed("Invalid checks: one that the server makes is all that is kept")),
            None => Ok(()),
        }
    }
}

/// A check that the server makes, and the scheme that it asks by; 400 for one that it cannot make.
fn made(fields: &Names, at: Endpoint<'_>) -> ApiResult<(Check, Option<&'static str>)> {
    let kinds = [("http", CheckKind::Http), ("tcp", CheckKind::Tcp), ("grpc", CheckKind::Grpc)];
    let asked = kinds.into_iter().find_map(|(name, kind)| Some((kind, fields.text(name)?)));
    let Some((kind, target)) = asked else {
        return Err(malformed("Invalid check: TTL must be > 0 for TTL checks, or HTTP, TCP or GRPC must be set"));
    };
    let other =
        ["header", "body", "tlsskipverify", "tlsservername", "grpcusetls"].into_iter().find(|name| fields.says(name));
    let other = other.or_else(|| fields.text("method").filter(|method| method != "GET").map(|_| "method"));
    if let Some(other) = other {
        return Err(malformed(format!("Invalid check: {other} is nothing that checks of this server have")));
    }
    let count = |name: &str| fields.value(name).and_then(Value::as_i64).unwrap_or(1).clamp(1, 100);
    let interval_seconds = fields.seconds("interval")?.unwrap_or(10).clamp(1, 86_400);
    let path = path_of(&target, at)?;
    let check = Check {
        kind,
        path: (kind == CheckKind::Http).then(|| path.clone().unwrap_or_else(|| "/".to_owned())),
        expected_status: None,
        grpc_service: path.map(|path| path[1..].to_owned()).filter(|name| kind == CheckKind::Grpc && !name.is_empty()),
        interval_seconds,
        timeout_seconds: fields.seconds("timeout")?.unwrap_or(10).clamp(1, interval_seconds),
        healthy_after: count("successbeforepassing"),
        critical_after: count("failuresbeforecritical"),
    };
    let scheme = if target.starts_with("https://") { "https" } else { "http" };
    Ok((check, (kind == CheckKind::Http).then_some(scheme)))
}

/// What a check asks for, from the first slash on; 400 if it asks another address than the service's. `localhost` is the
/// service's own: Consul's agents are beside the services.
fn path_of(target: &str, at: Endpoint<'_>) -> ApiResult<Option<String>> {
    let url = if target.contains("://") { target.to_owned() } else { format!("tcp://{target}") };
    let asked = Endpoint::of(&url).ok_or_else(|| malformed(format!("Invalid check: {target:?} names no port")))?;
    let own = asked.host == at.host || ["localhost", "127.0.0.1", "::1"].contains(&asked.host);
    if !own || asked.port != at.port {
        let (host, port) = (at.host, at.port);
        return Err(malformed(format!(
            "Invalid check: {target:?} is not where the service answers ({host}, port {port})"
        )));
    }
    Ok(url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|slash| rest[slash..].to_owned())))
}

/// The service that a check belongs to: `service:ID`, `service:ID:N`, or by the id that the check was given.
pub async fn service_of(registry: &Registry, check_id: &str) -> ApiResult<Option<ServiceId>> {
    if let Some(id) = check_id.strip_prefix("service:") {
        let plain = ServiceId::from(id);
        if registry.see(&plain).await?.is_some() {
            return Ok(Some(plain));
        }
        let numbered = id.rsplit_once(':').filter(|(_, n)| n.parse::<u32>().is_ok());
        let numbered = numbered.map(|(id, _)| ServiceId::from(id)).filter(|id| registry.exists(id));
        if numbered.is_some() {
            return Ok(numbered);
        }
    }
    let (all, _) = registry.all_seen(Watched::All);
    let named = |service: &Service| kept(service).iter().any(|check| check["CheckID"] == check_id);
    Ok(all.into_iter().find(|seen| named(&seen.service)).map(|seen| seen.service.service_id.clone()))
}

fn kept(service: &Service) -> &[Value] {
    let checks = labels::kept(service, SYSTEM).and_then(|kept| kept.get("checks")?.as_array());
    checks.map_or(&[], Vec::as_slice)
}

/// The health of a service, in Consul's words.
pub fn status(service: &Service) -> &'static str {
    match service.health_status {
        Health::Healthy => "passing",
        Health::Warning => "warning",
        Health::Unknown | Health::Critical => "critical",
    }
}

/// Whether nothing keeps a service from being called.
pub fn is_passing(seen: &Seen) -> bool {
    seen.service.health_status == Health::Healthy
        && seen.is_enabled()
        && seen.node.as_ref().is_none_or(|node| !node.is_silent())
}

/// What a service's node is called.
pub fn node_name(service: &Service) -> &str {
    service.node_id.as_ref().map_or(AGENT_NODE, NodeId::as_str)
}

/// The checks of a service: its own, and that it is switched off or being worked on.
pub fn of_service(seen: &Seen, tags: &[String]) -> Vec<Value> {
    let service = &*seen.service;
    let make = |id: String, name: String, status: &str, notes: &str, output: &str, kind: &str| {
        json!({
            "Node": node_name(service), "CheckID": id, "Name": name, "Status": status, "Notes": notes, "Output": output,
            "ServiceID": service.service_id, "ServiceName": service.service_name, "ServiceTags": tags, "Type": kind,
            "Definition": {}, "CreateIndex": service.revision, "ModifyIndex": service.revision,
        })
    };
    let (own, output) = (kept(service), service.health_reason.as_deref().unwrap_or_default());
    let text = |check: &Value, name: &str| check[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let mut all: Vec<Value> = own
        .iter()
        .enumerate()
        .map(|(n, check)| {
            let plain = format!("service:{}", service.service_id);
            let id = text(check, "CheckID")
                .unwrap_or_else(|| if own.len() == 1 { plain } else { format!("{plain}:{}", n + 1) });
            let name = text(check, "Name").unwrap_or_else(|| format!("Service '{}' check", service.service_name));
            let kind =
                ["TTL", "HTTP", "TCP", "GRPC"].into_iter().find(|kind| check.get(*kind).is_some()).unwrap_or("ttl");
            let notes = text(check, "Notes").unwrap_or_default();
            make(id, name, status(service), &notes, output, &kind.to_lowercase())
        })
        .collect();
    let unchecked = labels::kept(service, SYSTEM).is_some() && service.health_status == Health::Healthy;
    if all.is_empty() && !unchecked {
        let id = format!("service:{}", service.service_id);
        let kind = service.check.as_ref().map_or("ttl", |check| check.kind.as_str());
        all.push(make(id, format!("Service '{}' check", service.service_name), status(service), "", output, kind));
    }
    if service.maintenance.enabled || service.status == ServiceStatus::Inactive {
        let notes = service.maintenance.reason.as_deref().unwrap_or("Maintenance mode is enabled for this service");
        let id = format!("_service_maintenance:{}", service.service_id);
        all.push(make(id, "Service Maintenance Mode".to_owned(), "critical", notes, "", "maintenance"));
    }
    all
}

/// The checks of a node: whether it lives, and that it is drained or being worked on.
pub fn of_node(name: &str, node: Option<&Node>) -> Vec<Value> {
    let revision = node.map(|node| node.revision).unwrap_or_default();
    let make = |id: &str, title: &str, status: &str, notes: &str, output: &str| {
        json!({
            "Node": name, "CheckID": id, "Name": title, "Status": status, "Notes": notes, "Output": output, "ServiceID": "",
            "ServiceName": "", "ServiceTags": [], "Type": "", "Definition": {}, "CreateIndex": revision, "ModifyIndex": revision,
        })
    };
    let (status, output) = match node.filter(|node| node.is_silent()) {
        Some(node) => ("critical", node.health_reason.as_deref().unwrap_or("Agent not live or unreachable")),
        None => ("passing", "Agent alive and reachable"),
    };
    let mut all = vec![make("serfHealth", "Serf Health Status", status, "", output)];
    if let Some(node) = node.filter(|node| !node.is_offered()) {
        let notes = node.maintenance.reason.as_deref().unwrap_or("Maintenance mode is enabled for this node");
        all.push(make("_node_maintenance", "Node Maintenance Mode", "critical", notes, ""));
    }
    all
}

/// What `config` keeps of the checks of a registration.
pub fn keeping(checks: &Checks, kept: &mut Map<String, Value>) {
    if !checks.kept.is_empty() {
        kept.insert("checks".to_owned(), json!(checks.kept));
    }
}

/// The same as a column.
pub fn column(check: Option<Check>) -> Option<Json<Check>> {
    check.map(Json)
}
