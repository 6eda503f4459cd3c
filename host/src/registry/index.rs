//! The registry in memory: by id, by name with a revision of its own, by node, type and cluster.
//!
//! It changes by way of the feed alone, and never waits for anything.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::Bound,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::sync::watch;

use super::{lease::Lease, member::Member, nodes::Node, services::Service};
use crate::ids::{NodeId, Revision, ServiceId};

/// The tag that says where something is.
const ZONE: &str = "zone";

/// Something with its lease.
pub(super) struct Held<T> {
    pub(super) thing: Arc<T>,
    pub(super) lease: Arc<Lease>,
}

impl<T: Member> Held<T> {
    /// It as it is to be shown: with the newest heartbeat.
    pub(super) fn shown(&self) -> T {
        T::clone(&self.thing).seen(self.lease.last_beat())
    }
}

/// All of one kind, by id.
pub(super) struct Members<T: Member> {
    held: HashMap<T::Id, Held<T>>,
    order: BTreeSet<T::Id>,
}

impl<T: Member> Default for Members<T> {
    fn default() -> Self {
        Self { held: HashMap::new(), order: BTreeSet::new() }
    }
}

impl<T: Member> Members<T> {
    pub(super) fn get(&self, id: &T::Id) -> Option<&Held<T>> {
        self.held.get(id)
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&T::Id, &Held<T>)> {
        self.held.iter()
    }

    /// In the order of ids, those after `id`.
    pub(super) fn after<'m>(&'m self, id: Option<&T::Id>) -> impl Iterator<Item = &'m Held<T>> + use<'m, T> {
        let from = id.cloned().map_or(Bound::Unbounded, Bound::Excluded);
        self.order.range((from, Bound::Unbounded)).filter_map(|id| self.held.get(id))
    }

    /// Puts it in the place of what was there, whose lease goes on.
    fn put(&mut self, thing: T, uptime: Duration) -> Option<Arc<T>> {
        let id = thing.id().clone();
        if let Some(held) = self.held.get_mut(&id) {
            held.lease.learn(thing.last_beat(), uptime);
            return Some(std::mem::replace(&mut held.thing, Arc::new(thing)));
        }
        let lease = Arc::new(Lease::new(uptime, thing.last_beat()));
        self.order.insert(id.clone());
        self.held.insert(id, Held { thing: Arc::new(thing), lease });
        None
    }

    fn remove(&mut self, id: &T::Id) -> Option<Arc<T>> {
        self.order.remove(id);
        self.held.remove(id).map(|held| held.thing)
    }
}

/// Instances of one name.
pub(super) struct Name {
    /// The newest change of any of them.
    pub(super) revision: watch::Sender<Revision>,
    pub(super) ids: BTreeSet<ServiceId>,
    /// How often one was picked in turn.
    pub(super) turn: AtomicU64,
}

/// Ids by something that they share.
#[derive(Default)]
pub(super) struct Groups(HashMap<String, HashSet<ServiceId>>);

impl Groups {
    pub(super) fn get(&self, key: &str) -> impl Iterator<Item = &ServiceId> {
        self.0.get(key).into_iter().flatten()
    }

    fn change(&mut self, id: &ServiceId, before: Option<&str>, after: Option<&str>) {
        if before == after {
            return;
        }
        if let Some(key) = before
            && let Some(ids) = self.0.get_mut(key)
        {
            ids.remove(id);
            if ids.is_empty() {
                self.0.remove(key);
            }
        }
        if let Some(key) = after {
            self.0.entry(key.to_owned()).or_default().insert(id.clone());
        }
    }
}

/// Everything that is registered.
pub(super) struct Index {
    pub(super) services: Members<Service>,
    pub(super) nodes: Members<Node>,
    names: HashMap<String, Name>,
    /// Names with capitals, by what they are without: for those who know none.
    capitals: HashMap<String, BTreeSet<String>>,
    pub(super) by_node: Groups,
    pub(super) by_type: Groups,
    pub(super) by_cluster: Groups,
    /// The revision of a name that nothing has.
    floor: Revision,
    /// Changes when a name comes up that nothing had.
    newcomers: watch::Sender<Revision>,
    /// The newest change of which names there are and what their services are found by.
    pub(super) catalog: watch::Sender<Revision>,
    /// The newest change of anything.
    pub(super) newest: watch::Sender<Revision>,
}

impl Index {
    /// An empty one, as of `floor`.
    pub(super) fn new(floor: Revision) -> Self {
        Self {
            services: Members::default(),
            nodes: Members::default(),
            names: HashMap::new(),
            capitals: HashMap::new(),
            by_node: Groups::default(),
            by_type: Groups::default(),
            by_cluster: Groups::default(),
            floor,
            newcomers: watch::Sender::new(floor),
            catalog: watch::Sender::new(floor),
            newest: watch::Sender::new(floor),
        }
    }

    /// All names, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// The instances of a name, if it has any.
    pub(super) fn name(&self, name: &str) -> Option<&Name> {
        self.names.get(name)
    }

    /// The instances of every name that is `folded` but for its ASCII capitals.
    pub(super) fn names_as<'i>(&'i self, folded: &str) -> impl Iterator<Item = &'i Name> + use<'i> {
        let others = self.capitals.get(folded).into_iter().flatten();
        self.names.get(folded).into_iter().chain(others.filter_map(|name| self.names.get(name)))
    }

    /// The revision of a name, and what changes when it does.
    pub(super) fn revision_of(&self, name: &str) -> (Revision, watch::Receiver<Revision>) {
        match self.names.get(name) {
            Some(name) => {
                let changes = name.revision.subscribe();
                let revision = *changes.borrow();
                (revision, changes)
            }
            None => (self.floor, self.newcomers.subscribe()),
        }
    }

    /// How many wait for a name; those that wait for one that nothing has are counted together.
    pub(super) fn waiting(&self, name: &str) -> usize {
        self.names.get(name).map_or(&self.newcomers, |name| &name.revision).receiver_count()
    }

    /// Whether the node of a service lets it be offered.
    pub(super) fn node_offers(&self, service: &Service) -> bool {
        let node = service.node_id.as_ref().and_then(|id| self.nodes.get(id));
        node.is_none_or(|node| node.thing.is_offered())
    }

    /// The zone of a service: what its tag `zone` says, or its node's.
    pub(super) fn zone_of<'i>(&'i self, service: &'i Service) -> Option<&'i str> {
        let node = || self.nodes.get(service.node_id.as_ref()?)?.thing.tags.get(ZONE);
        service.tags.get(ZONE).or_else(node).map(String::as_str)
    }

    pub(super) fn put_service(&mut self, service: Service, uptime: Duration) {
        let (id, name, revision) = (service.service_id.clone(), service.service_name.clone(), service.revision);
        let after = service.clone();
        let before = self.services.put(service, uptime);
        let before = before.as_deref();
        if let Some(before) = before.filter(|before| before.service_name != name) {
            self.leave_name(&before.service_name, &id, revision);
        }
        self.regroup(&id, before, Some(&after));
        let found_by = |service: &'_ Service| {
            (&service.service_name, &service.tags, &service.config) != (&name, &after.tags, &after.config)
        };
        if before.is_none_or(found_by) {
            self.catalog.send_replace(revision);
        }
        self.newest.send_replace(revision);
        self.enter_name(name, id, revision);
    }

    /// The same service in a state that nobody is shown: no name has changed.
    pub(super) fn put_service_unseen(&mut self, service: Service, uptime: Duration) {
        self.services.put(service, uptime);
    }

    pub(super) fn remove_service(&mut self, id: &ServiceId, revision: Revision) {
        if let Some(before) = self.services.remove(id) {
            self.regroup(id, Some(&before), None);
            self.catalog.send_replace(revision);
            self.newest.send_replace(revision);
            self.leave_name(&before.service_name, id, revision);
        }
    }

    pub(super) fn put_node(&mut self, node: Node, uptime: Duration) {
        let (id, revision) = (node.node_id.clone(), node.revision);
        // What its services are found by, beside what they say themselves.
        let told = |node: &Node| (node.is_offered(), node.tags.get(ZONE).cloned());
        let after = told(&node);
        let before = self.nodes.put(node, uptime);
        self.newest.send_replace(revision);
        if before.map_or((true, None), |before| told(&before)) != after {
            self.tell_names_on(&id, revision);
        }
    }

    pub(super) fn remove_node(&mut self, id: &NodeId, revision: Revision) {
        self.newest.send_replace(revision);
        if self.nodes.remove(id).is_some_and(|node| !node.is_offered() || node.tags.contains_key(ZONE)) {
            self.tell_names_on(id, revision);
        }
    }

    fn regroup(&mut self, id: &ServiceId, before: Option<&Service>, after: Option<&Service>) {
        let node = |service: &'_ Service| service.node_id.as_ref().map(|id| id.0.clone());
        self.by_node.change(id, before.and_then(node).as_deref(), after.and_then(node).as_deref());
        let kind = |service: Option<&Service>| service.map(|service| service.service_type.clone());
        self.by_type.change(id, kind(before).as_deref(), kind(after).as_deref());
        let cluster = |service: Option<&Service>| service.and_then(|service| service.cluster_id.clone());
        self.by_cluster.change(id, cluster(before).as_deref(), cluster(after).as_deref());
    }

    fn enter_name(&mut self, name: String, id: ServiceId, revision: Revision) {
        if let Some(known) = self.names.get_mut(&name) {
            known.ids.insert(id);
            known.revision.send_replace(revision);
            return;
        }
        let folded = name.to_ascii_lowercase();
        if folded != name {
            self.capitals.entry(folded).or_default().insert(name.clone());
        }
        let (ids, turn) = (BTreeSet::from([id]), AtomicU64::new(0));
        self.names.insert(name, Name { revision: watch::Sender::new(revision), ids, turn });
        self.newcomers.send_replace(revision);
    }

    fn leave_name(&mut self, name: &str, id: &ServiceId, revision: Revision) {
        let Some(known) = self.names.get_mut(name) else { return };
        known.ids.remove(id);
        known.revision.send_replace(revision);
        if known.ids.is_empty() {
            self.names.remove(name);
            self.floor = self.floor.max(revision);
            self.forget_capitals(name);
        }
    }

    fn forget_capitals(&mut self, name: &str) {
        let folded = name.to_ascii_lowercase();
        if let Some(names) = self.capitals.get_mut(&folded) {
            names.remove(name);
            if names.is_empty() {
                self.capitals.remove(&folded);
            }
        }
    }

    /// What is offered of the services on a node has changed.
    fn tell_names_on(&self, node: &NodeId, revision: Revision) {
        let services = self.by_node.get(node.as_str()).filter_map(|id| self.services.get(id));
        let names: HashSet<&str> = services.map(|held| held.thing.service_name.as_str()).collect();
        for name in names.into_iter().filter_map(|name| self.names.get(name)) {
            name.revision.send_replace(revision);
        }
    }

    /// After a load: no name is older than `head`, so that whoever waits from before a restart reads anew.
    pub(super) fn raise_names(&mut self, head: Revision) {
        self.floor = head;
        self.catalog.send_replace(head);
        self.newest.send_replace(head);
        for name in self.names.values() {
            name.revision.send_replace(head);
        }
    }
}
