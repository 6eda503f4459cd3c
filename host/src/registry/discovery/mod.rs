//! Lookups: the instances of a name, one of them, and what Prometheus shall ask.
//!
//! Whoever waits, waits for one name: a change of another does not wake it.

mod routes;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

pub(super) use routes::routes;

use super::{Protection, Registry, index::Held, select::Filter, services::Service};
use crate::{ids::Revision, lifecycle::Tasks};

/// The instances of a name.
#[derive(Debug, Serialize, ToSchema)]
struct Instances {
    /// The name.
    service_name: String,
    /// The newest change of any of them: to be sent as `revision` to wait for the next.
    #[schema(value_type = i64)]
    revision: Revision,
    /// Them, in the order of their ids.
    items: Vec<Service>,
    /// Whether leases that ran out are held back.
    protection: Protection,
}

/// What to wait for, and how long.
struct Wait {
    beyond: Revision,
    at_most: Duration,
}

impl Registry {
    /// The instances of a name that `filter` lets through, as they are now.
    fn instances(&self, name: &str, filter: &Filter) -> Instances {
        let index = self.core.index();
        let (revision, _) = index.revision_of(name);
        let items = filter.select(&index).into_iter().map(Held::shown).collect();
        Instances { service_name: name.to_owned(), revision, items, protection: self.protection() }
    }

    /// Waits until what `filter` lets through of a name has changed since the revision that is known, or time is up, or the
    /// program stops. Whoever knows an older revision is not kept waiting.
    async fn wait(&self, name: &str, filter: &Filter, wait: &Wait, tasks: &Tasks) {
        let (at, known) = self.seen_through(name, filter);
        if at > wait.beyond {
            return;
        }
        let changed = async {
            loop {
                let (revision, mut changes) = self.core.index().revision_of(name);
                if revision > at && self.seen_through(name, filter).1 != known {
                    return;
                }
                // That the name is gone is a change, too: then there is a new revision to be looked up.
                let _ = changes.changed().await;
            }
        };
        self.at_most(wait.at_most, changed, tasks).await;
    }

    /// The revision of a name, and a digest of what `filter` lets through of it.
    fn seen_through(&self, name: &str, filter: &Filter) -> (Revision, u64) {
        let index = self.core.index();
        let mut digest = DefaultHasher::new();
        for held in filter.select(&index) {
            (&held.thing.service_id, held.thing.revision.0).hash(&mut digest);
        }
        (index.revision_of(name).0, digest.finish())
    }
}

/// A group of targets of Prometheus' `http_sd`: one service each.
fn target(service: &Service) -> Option<Value> {
    let url = reqwest::Url::parse(&service.service_url).ok()?;
    let port = url.port_or_known_default()?;
    let mut labels = serde_json::Map::new();
    let mut label = |name: &str, value: &str| drop(labels.insert(name.to_owned(), value.into()));
    match url.scheme() {
        scheme @ ("http" | "https") => label("__scheme__", scheme),
        _ => return None,
    }
    label("service_id", service.service_id.as_str());
    label("service_name", &service.service_name);
    label("service_type", &service.service_type);
    label("__meta_looma_status", service.status.as_str());
    label("__meta_looma_health_status", service.health_status.as_str());
    label("__meta_looma_url", &service.service_url);
    if let Some(node) = &service.node_id {
        label("node_id", node.as_str());
    }
    if let Some(cluster) = &service.cluster_id {
        label("cluster_id", cluster);
    }
    for (key, value) in &*service.tags {
        // A label has no other characters.
        let key: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        label(&format!("__meta_looma_tag_{key}"), value);
    }
    Some(json!({"targets": [format!("{}:{port}", url.host_str()?)], "labels": labels}))
}
