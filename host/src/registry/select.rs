//! Filters, order and pages over what is in memory, and picking one of several.

use std::{cmp::Ordering, sync::atomic::Ordering::Relaxed};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::{
    index::{Held, Index, Name},
    member::Member,
    random::Random,
    services::Service,
    types::{Health, Tags},
};
use crate::{
    http::{
        error::{ApiResult, Faults},
        page::{self, Page, SortKey},
    },
    ids::NodeId,
};

/// Which services are wanted: those for which everything that is given fits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Of this name.
    pub service_name: Option<String>,
    /// Of this type.
    pub service_type: Option<String>,
    /// In this cluster.
    pub cluster_id: Option<String>,
    /// On this node.
    pub node_id: Option<NodeId>,
    /// In this status.
    pub status: Option<super::ServiceStatus>,
    /// Of this health.
    pub health_status: Option<Health>,
    /// With all of these tags.
    pub tags: Vec<(String, String)>,
    /// Only those that may be offered: alive, and neither they nor their node drained or worked on.
    pub offered: bool,
}

/// Reads `k:v,k:v`.
pub(super) fn tags(text: Option<&str>) -> ApiResult<Vec<(String, String)>> {
    let pairs = text.into_iter().flat_map(|text| text.split(',')).map(|pair| {
        let (key, value) = pair.split_once(':')?;
        Some((key.to_owned(), value.to_owned()))
    });
    let pairs: Option<Vec<_>> = pairs.collect();
    pairs.ok_or_else(|| Faults::one("/tag", "must be key:value, several separated by commas").into())
}

/// Whether `tags` hold all of `wanted`.
pub(super) fn has_tags(tags: &Tags, wanted: &[(String, String)]) -> bool {
    wanted.iter().all(|(key, value)| tags.get(key) == Some(value))
}

impl Filter {
    pub(super) fn admits(&self, index: &Index, service: &Service) -> bool {
        let Self { service_name, service_type, cluster_id, node_id, status, health_status, tags, offered } = self;
        service_name.as_ref().is_none_or(|wanted| *wanted == service.service_name)
            && service_type.as_ref().is_none_or(|wanted| *wanted == service.service_type)
            && (cluster_id.is_none() || *cluster_id == service.cluster_id)
            && (node_id.is_none() || *node_id == service.node_id)
            && status.is_none_or(|wanted| wanted == service.status)
            && health_status.is_none_or(|wanted| wanted == service.health_status)
            && has_tags(&service.tags, tags)
            && (!offered || service.is_offered() && index.node_offers(service))
    }

    /// Those that it lets through, in the order of their ids.
    pub(super) fn select<'i>(&self, index: &'i Index) -> Vec<&'i Held<Service>> {
        let get = |id| index.services.get(id);
        let candidates: Vec<&Held<Service>> = if let Some(name) = &self.service_name {
            index.name(name).into_iter().flat_map(|name| &name.ids).filter_map(get).collect()
        } else if let Some(node) = &self.node_id {
            index.by_node.get(node.as_str()).filter_map(get).collect()
        } else if let Some(kind) = &self.service_type {
            index.by_type.get(kind).filter_map(get).collect()
        } else if let Some(cluster) = &self.cluster_id {
            index.by_cluster.get(cluster).filter_map(get).collect()
        } else {
            index.services.after(None).collect()
        };
        let mut chosen: Vec<_> = candidates.into_iter().filter(|held| self.admits(index, &held.thing)).collect();
        chosen.sort_by(|a, b| a.thing.service_id.cmp(&b.thing.service_id));
        chosen
    }
}

/// What a list is sorted by, one field of one item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Cell {
    /// A number, or a time.
    Number(i64),
    /// A text.
    Text(String),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Which page of a list, in which order.
pub(super) struct Asked<'q> {
    pub(super) limit: Option<i64>,
    pub(super) after: Option<&'q str>,
    pub(super) sort: Option<&'q str>,
}

/// A page of `all`, which come in the order of ids: sorted by fields that `cell` reads, and by id last.
pub(super) fn page<'m, T: Member>(
    all: impl Iterator<Item = &'m Held<T>>,
    asked: &Asked<'_>,
    fields: &[&str],
    cell: impl Fn(&T, &str) -> Cell,
) -> ApiResult<Page<T>> {
    let limit = page::limit(asked.limit)?;
    let sort = page::sort(asked.sort, fields)?;
    let after: Option<(Vec<Cell>, String)> = page::cursor(asked.after)?;
    if after.as_ref().is_some_and(|(cells, _)| cells.len() != sort.len()) {
        return Err(Faults::one("/after", "is a cursor of another order").into());
    }
    let key = |thing: &T| -> (Vec<Cell>, String) {
        let cells = sort.iter().map(|by| cell(thing, by.field)).collect();
        (cells, thing.id().to_string())
    };
    let is_after = |key: &(Vec<Cell>, String)| after.as_ref().is_none_or(|after| compare(&sort, key, after).is_gt());
    let items: Vec<T> = if sort.is_empty() {
        all.filter(|held| is_after(&key(&held.thing))).take(limit + 1).map(Held::shown).collect()
    } else {
        let keyed = all.map(|held| (key(&held.thing), held)).filter(|(key, _)| is_after(key));
        let mut keyed: Vec<_> = keyed.collect();
        keyed.sort_by(|(a, _), (b, _)| compare(&sort, a, b));
        keyed.into_iter().take(limit + 1).map(|(_, held)| held.shown()).collect()
    };
    Ok(Page::new(items, limit, key))
}

fn compare(sort: &[SortKey<'_>], a: &(Vec<Cell>, String), b: &(Vec<Cell>, String)) -> Ordering {
    let cells = a.0.iter().zip(&b.0).zip(sort).map(|((a, b), by)| if by.descending { b.cmp(a) } else { a.cmp(b) });
    cells.fold(Ordering::Equal, Ordering::then).then_with(|| a.1.cmp(&b.1))
}

/// How one of several is picked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Strategy {
    /// Each in its turn.
    #[default]
    #[serde(alias = "round_robin")]
    RoundRobin,
    /// By chance, all alike.
    Random,
    /// By chance, in proportion to their weights.
    Weighted,
    /// The same for the same `key` for as long as it is there, in proportion to weights.
    #[serde(alias = "consistent_hash")]
    ConsistentHash,
}

/// Picks one of `offered`, which come in the order of their ids.
pub(super) fn pick<'i>(
    strategy: Strategy,
    key: Option<&str>,
    name: &Name,
    offered: &[&'i Held<Service>],
    random: &Random,
) -> Option<&'i Held<Service>> {
    let count = u64::try_from(offered.len()).ok().filter(|count| *count > 0)?;
    let at = |n: u64| usize::try_from(n).ok().and_then(|n| offered.get(n)).copied();
    match strategy {
        Strategy::RoundRobin => at(name.turn.fetch_add(1, Relaxed) % count),
        Strategy::Random => at(random.below(count)),
        Strategy::Weighted => weighted(offered, random),
        Strategy::ConsistentHash => highest(offered, key?),
    }
}

fn weight(held: &Held<Service>) -> u64 {
    u64::try_from(held.thing.weight).unwrap_or(0)
}

fn weighted<'i>(offered: &[&'i Held<Service>], random: &Random) -> Option<&'i Held<Service>> {
    let total: u64 = offered.iter().map(|held| weight(held)).sum();
    let mut left = random.below(total);
    let found = offered.iter().find(|held| {
        let own = weight(held);
        let here = left < own;
        left = left.saturating_sub(own);
        here
    });
    // Where nobody has a weight, all are alike.
    found.or_else(|| offered.get(usize::try_from(random.below(u64::try_from(offered.len()).ok()?)).ok()?)).copied()
}

/// Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights as in Schindelhauer and Schomaker 2005): when an
/// instance goes, only the keys that it had move.
fn highest<'i>(offered: &[&'i Held<Service>], key: &str) -> Option<&'i Held<Service>> {
    let score = |held: &Held<Service>| {
        let digest =
            Sha256::new().chain_update(key).chain_update([0]).chain_update(held.thing.service_id.as_str()).finalize();
        let bits = digest.iter().take(8).fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        // Strictly between 0 and 1, of 52 bits.
        let unit = ((bits >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
        // Weight 0 is last, but still somebody.
        weight(held) as f64 / -unit.ln() + unit * f64::EPSILON
    };
    offered.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b)))
}
