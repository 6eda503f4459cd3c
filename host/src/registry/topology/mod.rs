//! What runs where: clusters, nodes and services as a graph, drawn from memory at one moment. It changes nothing.
//!
//! Clusters come first, then nodes, then services, each in the order of ids, so that a page at a time gives the whole; an
//! edge comes on the page of where it begins.

mod routes;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    index::{Held, Index},
    select::Filter,
    services::Service,
    types::Health,
};
use crate::{http::page::Page, ids::Revision, text_enum};

pub(super) use routes::routes;

text_enum! {
    /// What stands at a point of the graph.
    pub enum VertexKind {
        /// What services say they belong to.
        Cluster = "cluster",
        /// A machine.
        Node = "node",
        /// A running instance.
        Service = "service",
    }
}

text_enum! {
    /// What an edge means.
    pub enum EdgeKind {
        /// A service belongs to a cluster, or a node has a service that does.
        PartOf = "part_of",
        /// A service runs on a node.
        RunsOn = "runs_on",
    }
}

/// A point of the graph.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Vertex {
    /// Its kind and key, as `service:ai-1`.
    id: String,
    /// What it is.
    kind: VertexKind,
    /// What it is called: the name of a node or a service, the id of a cluster.
    name: String,
    /// Its status; none of a cluster, or of a node that services name and nobody has registered.
    status: Option<&'static str>,
    /// Whether it lives. A cluster is critical when all of its services are, and in warning when some are not well.
    health: Health,
    /// How many services it has, by health; none of a service.
    #[schema(value_type = std::collections::BTreeMap<String, u64>)]
    services: BTreeMap<&'static str, u64>,
}

/// What joins two points.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Edge {
    /// Where it begins.
    from: String,
    /// Where it ends.
    to: String,
    /// What it means.
    kind: EdgeKind,
}

/// A part of the graph: all of it, together with the pages that follow.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Topology {
    /// The revision of the feed that it shows.
    revision: Revision,
    /// Its points.
    nodes: Vec<Vertex>,
    /// What joins them, or joins one of them to one of an earlier page.
    edges: Vec<Edge>,
    /// What to send as `after` for the next page; absent on the last.
    next: Option<String>,
}

/// Where a page ends.
type Place = (u8, String);

/// Which part of the graph is wanted.
pub(super) struct Wanted {
    filter: Filter,
    /// Whether each service stands there, or its number alone.
    services: bool,
    limit: usize,
    after: Option<Place>,
}

/// What is known of a cluster or a node by its services.
#[derive(Default)]
struct Sum<'i> {
    services: BTreeMap<&'static str, u64>,
    clusters: BTreeSet<&'i str>,
}

impl<'i> Sum<'i> {
    fn add(&mut self, service: &'i Service) {
        *self.services.entry(service.health_status.as_str()).or_default() += 1;
        self.clusters.extend(service.cluster_id.as_deref());
    }

    fn health(&self) -> Health {
        let of = |health: Health| self.services.get(health.as_str()).copied().unwrap_or(0);
        let all: u64 = self.services.values().sum();
        match (of(Health::Critical), of(Health::Warning), of(Health::Healthy)) {
            (critical, _, _) if critical == all && all > 0 => Health::Critical,
            (0, 0, 0) => Health::Unknown,
            (0, 0, _) => Health::Healthy,
            _ => Health::Warning,
        }
    }
}

/// A point, with the edges that begin there.
struct Drawn {
    place: Place,
    vertex: Vertex,
    edges: Vec<Edge>,
}

/// Draws the part that is wanted, as memory has it.
fn draw(index: &Index, revision: Revision, wanted: &Wanted) -> Topology {
    let services = wanted.filter.select(index);
    let mut clusters: BTreeMap<&str, Sum<'_>> = BTreeMap::new();
    let mut nodes: BTreeMap<&str, Sum<'_>> = BTreeMap::new();
    if wanted.filter == Filter::default() {
        nodes.extend(index.nodes.iter().map(|(id, _)| (id.as_str(), Sum::default())));
    } else if let Some(id) = &wanted.filter.node_id
        && let Some(node) = index.nodes.get(id)
    {
        nodes.insert(node.thing.node_id.as_str(), Sum::default());
    }
    for held in &services {
        let service = &*held.thing;
        service.cluster_id.iter().for_each(|id| clusters.entry(id).or_default().add(service));
        service.node_id.iter().for_each(|id| nodes.entry(id.as_str()).or_default().add(service));
    }
    let shown = services.iter().filter(|_| wanted.services);
    let all = clusters.iter().map(|(id, sum)| Point::Cluster(id, sum));
    let all =
        all.chain(nodes.iter().map(|(id, sum)| Point::Node(id, sum))).chain(shown.map(|held| Point::Service(held)));
    let after = all.filter(|point| wanted.after.as_ref().is_none_or(|after| point.place() > (after.0, &after.1)));
    let drawn: Vec<Drawn> = after.take(wanted.limit + 1).map(|point| point.draw(index)).collect();
    let Page { items, next } = Page::new(drawn, wanted.limit, |drawn| drawn.place.clone());
    let (nodes, edges): (Vec<Vertex>, Vec<Vec<Edge>>) =
        items.into_iter().map(|Drawn { vertex, edges, .. }| (vertex, edges)).unzip();
    Topology { revision, nodes, edges: edges.into_iter().flatten().collect(), next }
}

/// A point that is not drawn yet.
enum Point<'i> {
    Cluster(&'i str, &'i Sum<'i>),
    Node(&'i str, &'i Sum<'i>),
    Service(&'i Held<Service>),
}

impl Point<'_> {
    fn place(&self) -> (u8, &str) {
        match self {
            Self::Cluster(id, _) => (0, id),
            Self::Node(id, _) => (1, id),
            Self::Service(held) => (2, held.thing.service_id.as_str()),
        }
    }

    fn kind(&self) -> VertexKind {
        match self {
            Self::Cluster(..) => VertexKind::Cluster,
            Self::Node(..) => VertexKind::Node,
            Self::Service(_) => VertexKind::Service,
        }
    }

    fn draw(&self, index: &Index) -> Drawn {
        let (rank, key) = self.place();
        let kind = self.kind();
        let id = format!("{kind}:{key}");
        let edge = |kind, to: String| Edge { from: id.clone(), to, kind };
        let cluster = |cluster: &str| edge(EdgeKind::PartOf, format!("cluster:{cluster}"));
        let (name, status, health, services, edges) = match self {
            Self::Cluster(_, sum) => (key, None, sum.health(), sum.services.clone(), Vec::new()),
            Self::Node(_, sum) => {
                let node = index.nodes.get(&key.into()).map(|held| &held.thing);
                let name = node.map_or(key, |node| node.node_name.as_str());
                let health = node.map_or(Health::Unknown, |node| node.health_status);
                let edges = sum.clusters.iter().map(|id| cluster(id)).collect();
                (name, node.map(|node| node.status.as_str()), health, sum.services.clone(), edges)
            }
            Self::Service(held) => {
                let service = &held.thing;
                let node = service.node_id.iter().map(|node| edge(EdgeKind::RunsOn, format!("node:{node}")));
                let edges = service.cluster_id.iter().map(|id| cluster(id)).chain(node).collect();
                let status = Some(service.status.as_str());
                (service.service_name.as_str(), status, service.health_status, BTreeMap::new(), edges)
            }
        };
        let vertex = Vertex { kind, name: name.to_owned(), status, health, services, id: id.clone() };
        Drawn { place: (rank, key.to_owned()), vertex, edges }
    }
}
