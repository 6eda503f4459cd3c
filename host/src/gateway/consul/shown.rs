//! Services and nodes as Consul shows them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    AGENT_NODE,
    checks::{node_name, of_node, of_service},
    types::{tags_and_meta, weights},
};
use crate::{
    app::App,
    gateway::{endpoint::Endpoint, labels},
    registry::{Node, Seen, Service},
};

/// What answers need to know of this server.
pub struct Here {
    /// The name of the datacentre.
    pub datacenter: String,
    /// Where this server listens.
    pub address: String,
    /// The port.
    pub port: u16,
    /// What it is called among others.
    pub id: String,
}

impl Here {
    /// This server.
    pub fn of(app: &App) -> Self {
        let listen = app.settings.server.listen;
        let (datacenter, id) = (app.settings.gateway.datacenter.clone(), app.replica.to_string());
        Self { datacenter, address: listen.ip().to_string(), port: listen.port(), id }
    }

    /// A node; of one that is not registered, what a service on it says.
    pub fn node(&self, name: &str, node: Option<&Node>, service: Option<&Service>) -> Value {
        let url = service.and_then(|service| Endpoint::of(&service.service_url));
        let address = match (node, url) {
            (Some(node), _) => node.host_address.as_str(),
            (None, Some(at)) if name != AGENT_NODE => at.host,
            _ => self.address.as_str(),
        };
        let id = if name == AGENT_NODE { self.id.as_str() } else { name };
        let meta = node.map(|node| node.tags.0.clone()).unwrap_or_default();
        let revision = node.map(|node| node.revision).unwrap_or_default();
        json!({
            "ID": id, "Node": name, "Address": address, "Datacenter": self.datacenter,
            "TaggedAddresses": {"lan": address, "wan": address}, "Meta": meta,
            "CreateIndex": revision, "ModifyIndex": revision,
        })
    }

    /// A service, as the agent and `health` show it.
    pub fn service(&self, service: &Service) -> Value {
        let (tags, meta) = tags_and_meta(service);
        let (address, port) = address(service);
        let kept = labels::kept(service, super::SYSTEM);
        let other = |name: &str| kept.and_then(|kept| kept.get(name)).cloned();
        json!({
            "Kind": "", "ID": service.service_id, "Service": service.service_name, "Tags": tags, "Meta": meta,
            "Address": address, "Port": port, "Weights": weights(service), "Datacenter": self.datacenter,
            "TaggedAddresses": other("tagged_addresses").unwrap_or_else(|| json!({})),
            "EnableTagOverride": other("enable_tag_override").unwrap_or(json!(false)),
            "CreateIndex": service.revision, "ModifyIndex": service.revision,
        })
    }

    /// A service, as `catalog/service` shows it.
    pub fn in_catalog(&self, seen: &Seen) -> Value {
        let service = &*seen.service;
        let node = self.node(node_name(service), seen.node.as_deref(), Some(service));
        let own = self.service(service);
        json!({
            "ID": node["ID"], "Node": node["Node"], "Address": node["Address"], "Datacenter": self.datacenter,
            "TaggedAddresses": node["TaggedAddresses"], "NodeMeta": node["Meta"], "ServiceKind": "",
            "ServiceID": own["ID"], "ServiceName": own["Service"], "ServiceTags": own["Tags"], "ServiceMeta": own["Meta"],
            "ServiceAddress": own["Address"], "ServicePort": own["Port"], "ServiceWeights": own["Weights"],
            "ServiceTaggedAddresses": own["TaggedAddresses"], "ServiceEnableTagOverride": own["EnableTagOverride"],
            "CreateIndex": own["CreateIndex"], "ModifyIndex": own["ModifyIndex"],
        })
    }

    /// A service with its node and the checks of both, as `health/service` shows it.
    pub fn with_health(&self, seen: &Seen) -> Value {
        let service = &*seen.service;
        let name = node_name(service);
        let mut checks = of_node(name, seen.node.as_deref());
        checks.extend(of_service(seen, &tags_and_meta(service).0));
        let node = self.node(name, seen.node.as_deref(), Some(service));
        json!({"Node": node, "Service": self.service(service), "Checks": checks})
    }
}

fn address(service: &Service) -> (&str, u16) {
    Endpoint::of(&service.service_url).map_or(("", 0), |at| (at.host, at.port))
}

/// Names, and every tag that an instance of each has.
pub fn names(all: &[Seen]) -> BTreeMap<&str, BTreeSet<String>> {
    let mut names: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for seen in all {
        names.entry(&seen.service.service_name).or_default().extend(tags_and_meta(&seen.service).0);
    }
    names
}

/// Whether a service has all of these tags, in whatever letters, and its node all of this metadata.
pub fn fits(seen: &Seen, tags: &[String], node_meta: &[(String, String)]) -> bool {
    let (own, _) = tags_and_meta(&seen.service);
    let of_node = |key: &str| seen.node.as_ref().and_then(|node| node.tags.get(key).cloned());
    tags.iter().all(|tag| own.iter().any(|own| own.eq_ignore_ascii_case(tag)))
        && node_meta.iter().all(|(key, value)| of_node(key).as_ref() == Some(value))
}
