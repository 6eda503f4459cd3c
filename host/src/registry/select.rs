//! Filters, order and pages over what is in memory.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{
    index::{Held, Index},
    member::Member,
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
    /// In this zone.
    pub zone: Option<String>,
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
        let Self { service_name, service_type, cluster_id, node_id, zone, status, health_status, tags, offered } = self;
        service_name.as_ref().is_none_or(|wanted| *wanted == service.service_name)
            && service_type.as_ref().is_none_or(|wanted| *wanted == service.service_type)
            && (cluster_id.is_none() || *cluster_id == service.cluster_id)
            && (node_id.is_none() || *node_id == service.node_id)
            && (zone.is_none() || zone.as_deref() == index.zone_of(service))
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
