//! What Nacos calls services and instances, and what the registry calls them.

use sha2::{Digest as _, Sha256};

use super::DEFAULT_CLUSTER;
use crate::{
    gateway::fields::{Fields, malformed},
    http::error::ApiResult,
    ids::ServiceId,
};

const DEFAULT_GROUP: &str = "DEFAULT_GROUP";
/// The namespace that is meant when none is named.
const PUBLIC: &str = "public";
/// What stands between a group and a name.
const BETWEEN: &str = "@@";

/// A service of Nacos: what instances are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceKey {
    /// Empty for the public one.
    pub namespace: String,
    /// Its group.
    pub group: String,
    /// Its name within the group.
    pub name: String,
}

/// An instance of Nacos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceKey {
    /// What it is an instance of.
    pub service: ServiceKey,
    /// In which cluster.
    pub cluster: String,
    /// Its address.
    pub ip: String,
    /// Its port.
    pub port: u16,
}

/// The namespace that a request is about.
pub fn namespace(fields: &Fields) -> String {
    fields.get("namespaceId").filter(|id| *id != PUBLIC).unwrap_or_default().to_owned()
}

impl ServiceKey {
    /// The service that a request is about: `serviceName` may name the group too.
    pub fn read(fields: &Fields) -> ApiResult<Self> {
        Ok(Self::named(namespace(fields), fields.get("groupName"), fields.need("serviceName")?))
    }

    /// A service of this name, which may name the group too.
    pub fn named(namespace: String, group: Option<&str>, name: &str) -> Self {
        let (group, name) = name.split_once(BETWEEN).unwrap_or((group.unwrap_or(DEFAULT_GROUP), name));
        Self { namespace, group: group.to_owned(), name: name.to_owned() }
    }

    /// What the registry calls it.
    pub fn registered(&self) -> String {
        let Self { namespace, group, name } = self;
        match (namespace.is_empty(), group == DEFAULT_GROUP) {
            (true, true) => name.clone(),
            (true, false) => self.grouped(),
            (false, _) => format!("{namespace}{BETWEEN}{group}{BETWEEN}{name}"),
        }
    }

    /// What Nacos calls something that the registry calls `registered`.
    pub fn of(registered: &str) -> Self {
        let parts: Vec<&str> = registered.splitn(3, BETWEEN).collect();
        let (namespace, group, name) = match *parts.as_slice() {
            [namespace, group, name] => (namespace, group, name),
            [group, name] => ("", group, name),
            _ => ("", DEFAULT_GROUP, registered),
        };
        Self { namespace: namespace.to_owned(), group: group.to_owned(), name: name.to_owned() }
    }

    /// Group and name, as answers name it.
    pub fn grouped(&self) -> String {
        format!("{}{BETWEEN}{}", self.group, self.name)
    }

    /// Whether a request is about a service of this namespace and group.
    pub fn is_in(&self, fields: &Fields) -> bool {
        self.namespace == namespace(fields) && self.group == fields.get("groupName").unwrap_or(DEFAULT_GROUP)
    }
}

impl InstanceKey {
    /// The instance that a request is about.
    pub fn read(fields: &Fields) -> ApiResult<Self> {
        let cluster = fields.get("clusterName").or_else(|| fields.get("cluster"));
        let port = fields.need("port").and_then(|_| fields.parsed("port"))?.unwrap_or_default();
        Self::at(ServiceKey::read(fields)?, cluster, fields.need("ip")?, port)
    }

    /// The instance of a service at an address.
    pub fn at(service: ServiceKey, cluster: Option<&str>, ip: &str, port: i64) -> ApiResult<Self> {
        // That is how the client in Python writes that there is none.
        let cluster = cluster.filter(|name| !name.is_empty() && *name != "None").unwrap_or(DEFAULT_CLUSTER);
        let port = port.try_into().map_err(|_| malformed(format!("Param 'port' is not right: {port}")))?;
        Ok(Self { service, cluster: cluster.to_owned(), ip: ip.trim().to_owned(), port })
    }

    /// What Nacos calls it.
    pub fn instance_id(&self) -> String {
        let Self { service, cluster, ip, port } = self;
        format!("{ip}#{port}#{cluster}#{}", service.grouped())
    }

    /// What the registry calls it, if it was registered here.
    pub fn service_id(&self) -> ServiceId {
        let id = match self.service.namespace.as_str() {
            "" => self.instance_id(),
            namespace => format!("{namespace}#{}", self.instance_id()),
        };
        let fits = id.chars().count() <= 100 && !id.contains('/') && !id.chars().any(char::is_control);
        match fits && id.trim() == id {
            true => id.into(),
            false => format!("nacos-{}", hex::encode(&Sha256::digest(id)[..20])).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_registry_calls_a_service_is_read_again() {
        for (text, registered) in [
            ("serviceName=x", "x"),
            ("serviceName=DEFAULT_GROUP%40%40x&groupName=other&namespaceId=public", "x"),
            ("serviceName=x&groupName=g", "g@@x"),
            ("serviceName=g@@x&namespaceId=n", "n@@g@@x"),
            ("serviceName=x&namespaceId=n", "n@@DEFAULT_GROUP@@x"),
        ] {
            let key = ServiceKey::read(&Fields::read(text)).unwrap();
            assert_eq!(key.registered(), registered, "{text}");
            assert_eq!(ServiceKey::of(registered), key, "{text}");
        }
    }

    #[test]
    fn ids_fit_the_registry_and_differ() {
        let key = |text: &str| InstanceKey::read(&Fields::read(text)).unwrap();
        let short = key("serviceName=x&ip=10.0.0.7&port=8002");
        assert_eq!(short.service_id().as_str(), "10.0.0.7#8002#DEFAULT#DEFAULT_GROUP@@x");
        let long = |name: char| key(&format!("serviceName={}&ip=10.0.0.7&port=8002", name.to_string().repeat(90)));
        let (a, b) = (long('a').service_id(), long('b').service_id());
        assert!(a != b && a.as_str().len() <= 100);
    }
}
