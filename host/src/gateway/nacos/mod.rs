//! Nacos' v1 HTTP, as its clients up to 1.x and those in other languages speak it.
//!
//! | Nacos | registry |
//! | --- | --- |
//! | namespace, group, service | `service_name`: `NAME`, `GROUP@@NAME` or `NAMESPACE@@GROUP@@NAME`, the defaults (`public`, `DEFAULT_GROUP`) left out |
//! | cluster | `cluster_id`; `DEFAULT` is none |
//! | ip, port | `service_url`, with the scheme of the metadata (`scheme`, or `secure=true`), or http |
//! | weight | `weight`, times 100 |
//! | enabled | `status`: `inactive` when it is not |
//! | ephemeral | `ttl_seconds`: of `preserved.heart.beat.timeout`, or the setting's; 0 when it is not |
//! | `preserved.ip.delete.timeout` of an ephemeral one | `deregister_after_seconds`: what is left of it when the lease has ended |
//! | metadata | `tags`; `service_type` and `node_id` where they say so |
//! | healthy, when it is registered | what the lease says until the next beat, or the check before its first verdict |
//!
//! The id is Nacos' own (`IP#PORT#CLUSTER#GROUP@@NAME`), or a digest of it where that cannot be an id. A health check of the
//! server is never lied about: a host that is not alive is shown so, whatever protection says.
//!
//! Read on in `names`, `types` (mapping there and back), `routes`, `auth` (tokens, and names with passwords).

mod auth;
mod names;
mod routes;
mod types;

use names::InstanceKey;

use super::endpoint::Endpoint;
use crate::{
    ids::ServiceId,
    registry::{Registry, Service},
};

pub(super) use routes::{PATHS, routes};

/// The cluster of what does not say.
const DEFAULT_CLUSTER: &str = "DEFAULT";

/// Where the registry has an instance: under the id of Nacos, or under one of its own.
fn located(registry: &Registry, key: &InstanceKey) -> Option<ServiceId> {
    let own = key.service_id();
    if registry.exists(&own) {
        return Some(own);
    }
    let (all, _) = registry.seen(&key.service.registered());
    all.into_iter().find(|seen| is_at(&seen.service, key)).map(|seen| seen.service.service_id.clone())
}

fn is_at(service: &Service, key: &InstanceKey) -> bool {
    let InstanceKey { service: _, cluster, ip, port } = key;
    service.cluster_id.as_deref().unwrap_or(DEFAULT_CLUSTER) == cluster
        && service.service_url.contains(ip.as_str())
        && Endpoint::of(&service.service_url) == Some(Endpoint { host: ip, port: *port })
}
