//! Who is known, and heard of: from memory, and by asking the feed where another replica may know better.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    Queued, Registry, Service, WriteError,
    index::Held,
    member::Member,
    types::tag,
    writer::{self, Change, Done, Edit, Reply, Verdict},
};
use crate::{
    feed,
    http::{
        error::{ApiResult, OrNotFound as _},
        etag::Conditions,
    },
    ids::ServiceId,
};

impl Registry {
    /// A service, as of its last change; another replica may have registered it a moment ago.
    pub async fn find_service(&self, id: &ServiceId) -> anyhow::Result<Option<Arc<Service>>> {
        self.find::<Service>(id).await
    }

    /// One as of its last change, here or on another replica.
    pub(super) async fn find<T: Member>(&self, id: &T::Id) -> anyhow::Result<Option<Arc<T>>> {
        self.look_for::<T>(std::slice::from_ref(id)).await?;
        Ok(self.known::<T>(id))
    }

    /// Reads on if memory does not know all of these.
    pub(super) async fn look_for<T: Member>(&self, ids: &[T::Id]) -> anyhow::Result<()> {
        let knows_all = {
            let index = self.core.index();
            ids.iter().all(|id| T::members(&index).get(id).is_some())
        };
        if knows_all { Ok(()) } else { feed::look_again(&self.core.feed).await }
    }

    /// One in the version that a write is for; 404, 412.
    pub(super) async fn find_for_write<T: Member>(&self, id: &T::Id, conditions: &Conditions) -> ApiResult<Arc<T>> {
        let fits = |known: Arc<T>| conditions.allow_write_of(&tag(known.revision())).map(|()| known);
        let known = self.find::<T>(id).await?.or_not_found(T::WHAT)?;
        if let Ok(known) = fits(known) {
            return Ok(known);
        }
        // Another replica may have made the version that is meant.
        feed::look_again(&self.core.feed).await?;
        fits(self.known::<T>(id).or_not_found(T::WHAT)?)
    }

    fn known<T: Member>(&self, id: &T::Id) -> Option<Arc<T>> {
        T::members(&self.core.index()).get(id).map(|held| held.thing.clone())
    }

    /// One as it is to be shown, with its newest heartbeat.
    pub(super) fn shown<T: Member>(&self, id: &T::Id) -> Option<T> {
        T::members(&self.core.index()).get(id).map(Held::shown)
    }

    /// Whether memory is enough to tell a renewal. Where others write too, the stored row is.
    pub(super) fn renews_from_memory(&self) -> bool {
        !self.core.db.is_shared()
    }

    /// Takes a heartbeat, and gives the edit that it needs if it changes more than a time; `None`: nobody of that id.
    pub(super) fn touch<T: Member>(&self, id: &T::Id) -> Option<Option<Edit<T>>> {
        let core = &self.core;
        let index = core.index();
        let held = T::members(&index).get(id)?;
        held.lease.touch(core.clock.uptime(), core.clock.now());
        core.heartbeats.fetch_add(1, Relaxed);
        held.thing.is_woken_by_a_beat().then(|| woken(id)).into()
    }

    /// It was registered. A renewal is a heartbeat; a first registration is none.
    pub(super) async fn registered<T: Member>(&self, done: &Done<T>, id: &T::Id) -> anyhow::Result<()> {
        let (known, found) = (self.known::<T>(id), done.after.as_ref());
        // Nothing was written, so memory has not read on; what was found may be news to it.
        if done.change == Change::None && known.as_deref().map(T::revision) != found.map(T::revision) {
            feed::follow(&self.core.feed).await?;
        }
        self.heard_of(done, id);
        Ok(())
    }

    /// The part of that which is for the lease.
    pub(super) fn heard_of<T: Member>(&self, done: &Done<T>, id: &T::Id) {
        if done.before.is_some() && done.after.as_ref().is_some_and(T::beats_by_registering) {
            self.touch::<T>(id);
        } else if let Some(held) = T::members(&self.core.index()).get(id) {
            held.lease.hear();
        }
    }

    /// Submits one edit and waits for its commit.
    pub(super) async fn edit<T: Queued>(&self, edit: Edit<T>) -> Reply<T> {
        T::queue(self).submit(edit).await.map_err(|busy| WriteError::Busy(Arc::new(busy)))?
    }

    /// One heartbeat; `Err` if there is nobody of that id.
    pub(super) async fn beat<T: Queued>(&self, id: &T::Id) -> Result<(), WriteError> {
        match self.touch::<T>(id) {
            None => Err(WriteError::NotThere(T::WHAT)),
            Some(None) => Ok(()),
            Some(Some(edit)) => self.edit(edit).await.map(drop),
        }
    }

    /// What a service says of how busy it is, beside a heartbeat.
    pub(super) fn note_connections(&self, id: &ServiceId, connections: u32) {
        if let Some(held) = self.core.index().services.get(id) {
            held.lease.report(connections);
        }
    }

    /// Many heartbeats, and one commit if it takes any; gives the ids that nobody has.
    pub(super) async fn beat_all<T: Member>(&self, ids: Vec<T::Id>) -> Result<Vec<T::Id>, WriteError> {
        let (mut unknown, mut edits) = (Vec::new(), Vec::new());
        for id in ids {
            match self.touch::<T>(&id) {
                None => unknown.push(id),
                Some(edit) => edits.extend(edit),
            }
        }
        let ids: Vec<T::Id> = edits.iter().map(|edit: &Edit<T>| edit.id.clone()).collect();
        for (reply, id) in writer::write(&self.core, &edits).await.into_iter().zip(ids) {
            match reply {
                Ok(_) => {}
                Err(WriteError::NotThere(_)) => unknown.push(id),
                Err(error) => return Err(error),
            }
        }
        Ok(unknown)
    }
}

/// What was silent is heard of again.
pub(super) fn woken<T: Member>(id: &T::Id) -> Edit<T> {
    Edit::existing(id, None, |row: &T, now| {
        Ok(match row.is_woken_by_a_beat() {
            true => Verdict::Transition(row.clone().beaten(now)),
            false => Verdict::Keep,
        })
    })
}
