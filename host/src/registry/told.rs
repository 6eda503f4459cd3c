//! What is told by, and to, clients of other protocols: a registration that comes with a state, reports of health, and who is
//! there. What siblings may do with it.
//!
//! Nothing here says what the health of a service is: what is told is a signal beside those of heartbeats and checks, and the
//! one rule of `services::signals` makes a health of them.
//!
//! Whoever tells it is known: a bound token speaks for its own service here as everywhere.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    Health, NewService, Node, Registry, Service, ServiceStatus, SetMaintenance, WriteError,
    index::{Held, Index},
    services::{SELF, Signal, is_renewed, maintaining, speaking},
    writer::{Edit, Verdict},
};
use crate::{
    clock::Timestamp,
    http::{
        auth::Caller,
        error::{ApiResult, OrNotFound as _},
    },
    ids::{NodeId, Revision, ServiceId},
    lifecycle::Tasks,
};

/// What is said of the state of a service; what is not said stays.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// How it is from the start: until it is heard of, or where it is checked until the first verdict.
    pub first: Option<Health>,
    /// How it says itself that it is.
    pub report: Option<Signal>,
    /// Whether it is switched on.
    pub enabled: Option<bool>,
}

impl Said {
    /// That a service says that it is of this health, and why.
    pub fn reporting(health: Health, reason: Option<String>) -> Self {
        let reason = reason.or_else(|| (health != Health::Healthy).then(|| "it says so itself".to_owned()));
        Self { report: Some(Signal { health, reason }), ..Self::default() }
    }

    fn applied(&self, mut service: Service, now: Timestamp) -> Service {
        let Self { first, report, enabled } = self;
        if let Some(health) = first.filter(|first| *first != Health::Unknown) {
            let reason = (health != Health::Healthy).then(|| format!("it was registered as {health}"));
            service = service.first_known_as(Signal { health, reason }, now);
        }
        if let Some(report) = report {
            service = service.reported(report.clone(), now);
        }
        match enabled {
            Some(true) => service.switched_on(),
            Some(false) => service.switched_off(),
            None => service,
        }
    }

    /// What it makes of a service that is there. Only that somebody switches it on or off is for the audit.
    fn verdict(&self, row: &Service, now: Timestamp) -> Verdict<Service> {
        let after = self.applied(row.clone(), now);
        let switched = (after.status == ServiceStatus::Inactive) != (row.status == ServiceStatus::Inactive);
        match changes(row, &after) {
            false => Verdict::Keep,
            true if switched => Verdict::Put(Service { updated_at: now, ..after }),
            true => Verdict::Transition(Service { updated_at: now, ..after }),
        }
    }

    /// Whether it says what is known already.
    fn is_known_of(&self, known: &Service, now: Timestamp) -> bool {
        !changes(known, &self.applied(known.clone(), now))
    }
}

fn changes(row: &Service, after: &Service) -> bool {
    (row.status, &row.signals) != (after.status, &after.signals)
}

/// A service as it is shown, with what it runs on.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The service, as of its last change.
    pub service: Arc<Service>,
    /// Its node, where that is registered.
    pub node: Option<Arc<Node>>,
}

impl Seen {
    fn of(index: &Index, held: &Held<Service>) -> Self {
        let node = held.thing.node_id.as_ref().and_then(|id| index.nodes.get(id));
        Self { service: held.thing.clone(), node: node.map(|node| node.thing.clone()) }
    }

    /// Whether nobody has switched it off, drained its node, or works on either.
    pub fn is_enabled(&self) -> bool {
        self.service.status != ServiceStatus::Inactive
            && !self.service.maintenance.enabled
            && self.node.as_ref().is_none_or(|node| node.is_offered())
    }

    /// Whether it serves.
    pub fn is_alive(&self) -> bool {
        matches!(self.service.health_status, Health::Healthy | Health::Warning)
    }
}

/// Something whose changes can be waited for.
#[derive(Clone, Copy, Debug)]
pub enum Watched<'n> {
    /// The instances of a name.
    Name(&'n str),
    /// Which names there are, and what their services are found by.
    Catalog,
    /// Everything.
    All,
}

impl Watched<'_> {
    fn revision(self, index: &Index) -> (Revision, watch::Receiver<Revision>) {
        let of = |sender: &watch::Sender<Revision>| (*sender.borrow(), sender.subscribe());
        match self {
            Self::Name(name) => index.revision_of(name),
            Self::Catalog => of(&index.catalog),
            Self::All => of(&index.newest),
        }
    }
}

impl Registry {
    /// Registers a service, or puts it in the place of what was known by its id, in the state that comes with it.
    pub async fn register_as(&self, new: NewService, said: Said, who: &Caller) -> ApiResult<()> {
        new.check()?;
        who.must_speak_for(&new.service_id, &new.service_name)?;
        let (id, now) = (new.service_id.clone(), self.core.clock.now());
        let known = self.service(&id).is_some_and(|known| said.is_known_of(&known, now));
        if known && is_renewed(self, &new) {
            return Ok(());
        }
        let judge = move |row: Option<&Service>, now| {
            Ok(match row {
                Some(row) if row.is_as(&new) && row.origin == SELF => said.verdict(row, now),
                row => Verdict::Put(said.applied(new.service(row, SELF, now), now)),
            })
        };
        let edit = Edit { id: id.clone(), actor: Some(who.actor()), judge: Box::new(judge) };
        let done = self.edit(speaking(who, edit)).await?;
        Ok(self.registered(&done, &id).await?)
    }

    /// Changes what was registered, and what is said of the state with it; 404.
    pub async fn amend(
        &self,
        id: &ServiceId,
        who: &Caller,
        change: impl Fn(&Service) -> (NewService, Said) + Send + Sync + 'static,
    ) -> ApiResult<()> {
        let known = self.find::<Service>(id).await?.or_not_found("service")?;
        change(&known).0.check()?;
        let edit = Edit::existing(id, Some(who.actor()), move |row: &Service, now| {
            let (new, said) = change(row);
            Ok(match row.is_as(&new) {
                true => said.verdict(row, now),
                false => Verdict::Put(said.applied(new.service(Some(row), &row.origin, now), now)),
            })
        });
        self.edit(speaking(who, edit)).await?;
        Ok(())
    }

    /// Takes a report of a service, which is a sign of life too; 404.
    pub async fn report(&self, id: &ServiceId, said: Said, who: &Caller) -> ApiResult<()> {
        let known = self.find::<Service>(id).await?.or_not_found("service")?;
        who.must_speak_for(id, &known.service_name)?;
        self.touch::<Service>(id);
        if said.is_known_of(&known, self.core.clock.now()) {
            return Ok(());
        }
        let edit = Edit::existing(id, Some(who.actor()), move |row: &Service, now| Ok(said.verdict(row, now)));
        self.edit(speaking(who, edit)).await?;
        Ok(())
    }

    /// Takes a heartbeat, and gives the service; `None` when there is none.
    pub async fn hear(&self, id: &ServiceId, who: &Caller) -> ApiResult<Option<Arc<Service>>> {
        let Some(known) = self.find::<Service>(id).await? else { return Ok(None) };
        who.must_speak_for(id, &known.service_name)?;
        match self.beat::<Service>(id).await {
            Ok(()) => Ok(Some(known)),
            Err(WriteError::NotThere(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deregisters a service, at once. Tells whether it was there.
    pub async fn deregister(&self, id: &ServiceId, who: &Caller) -> ApiResult<bool> {
        let edit = Edit::existing(id, Some(who.actor()), |_: &Service, _| Ok(Verdict::Remove));
        match self.edit(speaking(who, edit)).await {
            Ok(_) => Ok(true),
            Err(WriteError::NotThere(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins or ends the maintenance of a service. Tells whether it was there.
    pub async fn maintain(&self, id: &ServiceId, asked: SetMaintenance, who: &Caller) -> ApiResult<bool> {
        asked.check()?;
        match self.edit(maintaining(id, asked, who)).await {
            Ok(_) => Ok(true),
            Err(WriteError::NotThere(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The instances of a name, in the order of their ids, and the revision of the name.
    pub fn seen(&self, name: &str) -> (Vec<Seen>, Revision) {
        let index = self.core.index();
        let ids = index.name(name).into_iter().flat_map(|name| &name.ids);
        let held = ids.filter_map(|id| index.services.get(id));
        (held.map(|held| Seen::of(&index, held)).collect(), Watched::Name(name).revision(&index).0)
    }

    /// The instances of every name that is `folded` but for its ASCII capitals.
    pub fn seen_as(&self, folded: &str) -> Vec<Seen> {
        let index = self.core.index();
        let held = index.names_as(folded).flat_map(|name| &name.ids).filter_map(|id| index.services.get(id));
        held.map(|held| Seen::of(&index, held)).collect()
    }

    /// The node whose id is `folded` but for its ASCII capitals.
    pub fn node_as(&self, folded: &str) -> Option<Arc<Node>> {
        let index = self.core.index();
        let exact = index.nodes.get(&NodeId::from(folded));
        let mut others =
            index.nodes.after(None).filter(|held| held.thing.node_id.as_str().eq_ignore_ascii_case(folded));
        exact.or_else(|| others.next()).map(|held| held.thing.clone())
    }

    /// Puts a list in random order.
    pub fn shuffle<T>(&self, list: &mut [T]) {
        self.core.random.shuffle(list);
    }

    /// All services, in the order of their ids, and the revision of `watched`.
    pub fn all_seen(&self, watched: Watched<'_>) -> (Vec<Seen>, Revision) {
        let index = self.core.index();
        let all = index.services.after(None).map(|held| Seen::of(&index, held)).collect();
        (all, watched.revision(&index).0)
    }

    /// One service, here or on another replica.
    pub async fn see(&self, id: &ServiceId) -> ApiResult<Option<Seen>> {
        self.find::<Service>(id).await?;
        let index = self.core.index();
        Ok(index.services.get(id).map(|held| Seen::of(&index, held)))
    }

    /// All nodes, in the order of their ids, and the revision of everything.
    pub fn all_nodes(&self) -> (Vec<Arc<Node>>, Revision) {
        let index = self.core.index();
        let all = index.nodes.after(None::<&NodeId>).map(|held| held.thing.clone()).collect();
        (all, Watched::All.revision(&index).0)
    }

    /// All names, in their order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.core.index().names().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Waits until the revision of `watched` is beyond the one that is known, or time is up, or the program stops.
    pub async fn wait_beyond(&self, watched: Watched<'_>, known: Revision, at_most: Duration, tasks: &Tasks) {
        let changed = async {
            loop {
                let (revision, mut changes) = watched.revision(&self.core.index());
                if revision > known {
                    return;
                }
                // That what told the changes is gone is a change, too: then there is a new revision to be looked up.
                let _ = changes.changed().await;
            }
        };
        self.at_most(at_most, changed, tasks).await;
    }

    /// Waits for something for a time, and up to a sixteenth longer: those that began to wait together do not all ask again in
    /// the same moment.
    pub(super) async fn at_most(&self, time: Duration, something: impl Future<Output = ()>, tasks: &Tasks) {
        let more = self.core.random.below(u64::try_from(time.as_millis() / 16).unwrap_or(0));
        tokio::select! {
            () = something => {}
            () = self.core.clock.sleep(time + Duration::from_millis(more)) => {}
            () = tasks.stopping() => {}
        }
    }
}
