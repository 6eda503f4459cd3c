//! What services and nodes have in common for those that keep them: leases, the index, the writer, the worker.

use std::{fmt::Display, future::Future, hash::Hash, sync::Mutex};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Core,
    index::{Index, Members},
    types::Health,
    wheel::Wheel,
};
use crate::{
    clock::Timestamp,
    db::{AsConn, Result, Tx},
    feed::Topic,
    ids::Revision,
    settings,
};

/// An id that things are kept by.
pub(super) trait Key: Clone + Eq + Ord + Hash + Display + Send + Sync + 'static {}

impl<K: Clone + Eq + Ord + Hash + Display + Send + Sync + 'static> Key for K {}

/// A service or a node.
pub(super) trait Member: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its key.
    type Id: Key;
    /// Where its changes are shown.
    const TOPIC: Topic;
    /// Where what nobody is shown goes to other replicas.
    const UNSEEN: Topic;
    /// What it is called.
    const WHAT: &'static str;

    fn id(&self) -> &Self::Id;
    fn revision(&self) -> Revision;
    fn set_revision(&mut self, revision: Revision);
    fn ttl_seconds(&self) -> i64;
    /// Whether it has a lease that ends when no heartbeat comes.
    fn has_lease(&self) -> bool;
    /// Whether its lease has ended, or it was said to be critical.
    fn is_silent(&self) -> bool;
    /// Whether registering it again is a heartbeat.
    fn beats_by_registering(&self) -> bool;
    fn health(&self) -> Health;
    /// What it is one of several of: too many of them must not end at once.
    fn kin(&self) -> Option<&str>;
    fn status(&self) -> &'static str;
    fn last_beat(&self) -> Option<Timestamp>;
    /// The same, last heard of at `at`.
    fn seen(self, at: Option<Timestamp>) -> Self;
    fn is_woken_by_a_beat(&self) -> bool;
    fn beaten(self, now: Timestamp) -> Self;
    fn silent(self, reason: &str, now: Timestamp) -> Self;
    /// What somebody made of `before`, with the health that follows.
    fn settled(self, before: Option<&Self>, now: Timestamp) -> Self;
    /// What became of `before` by itself, with the health that follows.
    fn settled_by_itself(self, before: Option<&Self>, now: Timestamp, settings: &settings::Registry) -> Self;
    /// Whether nobody is shown what tells it from `before`.
    fn shows_as(&self, before: &Self) -> bool;

    fn lock(tx: &mut Tx, ids: Vec<Self::Id>) -> impl Future<Output = Result<Vec<Self>>> + Send;
    fn put(tx: &mut Tx, all: &[Self]) -> impl Future<Output = Result<()>> + Send;
    fn delete(tx: &mut Tx, ids: Vec<Self::Id>) -> impl Future<Output = Result<()>> + Send;
    fn flush(tx: &mut Tx, beats: &[(Self::Id, Timestamp)]) -> impl Future<Output = Result<()>> + Send;
    /// When each was last heard of, as the database has it.
    fn beats(
        on: &mut dyn AsConn,
        ids: Vec<Self::Id>,
    ) -> impl Future<Output = Result<Vec<(Self::Id, Option<Timestamp>)>>> + Send;

    fn members(index: &Index) -> &Members<Self>;
    fn wheel(core: &Core) -> &Mutex<Wheel<Self::Id>>;
}

/// Implements `Member` for a type whose folder has `queries` of the usual names.
macro_rules! member {
    ($type:ident, $id:ident, $key:ident, $topic:ident, $unseen:ident, $what:literal, $beat:ident, $members:ident) => {
        impl $crate::registry::member::Member for $type {
            type Id = $crate::ids::$id;
            const TOPIC: $crate::feed::Topic = $topic;
            const UNSEEN: $crate::feed::Topic = $unseen;
            const WHAT: &'static str = $what;

            fn id(&self) -> &Self::Id {
                &self.$key
            }
            fn revision(&self) -> $crate::ids::Revision {
                self.revision
            }
            fn set_revision(&mut self, revision: $crate::ids::Revision) {
                self.revision = revision;
            }
            fn ttl_seconds(&self) -> i64 {
                self.ttl_seconds
            }
            fn has_lease(&self) -> bool {
                self.has_lease()
            }
            fn is_silent(&self) -> bool {
                self.is_silent()
            }
            fn beats_by_registering(&self) -> bool {
                self.beats_by_registering()
            }
            fn health(&self) -> $crate::registry::Health {
                self.health_status
            }
            fn kin(&self) -> Option<&str> {
                self.kin()
            }
            fn status(&self) -> &'static str {
                self.status.as_str()
            }
            fn last_beat(&self) -> Option<$crate::clock::Timestamp> {
                self.$beat
            }
            fn seen(self, at: Option<$crate::clock::Timestamp>) -> Self {
                Self { $beat: at.or(self.$beat), ..self }
            }
            fn is_woken_by_a_beat(&self) -> bool {
                self.is_woken_by_a_beat()
            }
            fn beaten(self, now: $crate::clock::Timestamp) -> Self {
                self.beaten(now)
            }
            fn silent(self, reason: &str, now: $crate::clock::Timestamp) -> Self {
                self.silent(reason, now)
            }
            fn settled(self, before: Option<&Self>, now: $crate::clock::Timestamp) -> Self {
                self.settled(before, now)
            }
            fn settled_by_itself(
                self,
                before: Option<&Self>,
                now: $crate::clock::Timestamp,
                settings: &$crate::settings::Registry,
            ) -> Self {
                self.settled_by_itself(before, now, settings)
            }
            fn shows_as(&self, before: &Self) -> bool {
                self.shows_as(before)
            }

            async fn lock(tx: &mut $crate::db::Tx, ids: Vec<Self::Id>) -> $crate::db::Result<Vec<Self>> {
                queries::lock(tx, ids).await
            }
            async fn put(tx: &mut $crate::db::Tx, all: &[Self]) -> $crate::db::Result<()> {
                queries::put(tx, all).await
            }
            async fn delete(tx: &mut $crate::db::Tx, ids: Vec<Self::Id>) -> $crate::db::Result<()> {
                queries::delete(tx, ids).await
            }
            async fn flush(
                tx: &mut $crate::db::Tx,
                beats: &[(Self::Id, $crate::clock::Timestamp)],
            ) -> $crate::db::Result<()> {
                queries::flush(tx, beats).await
            }
            async fn beats(
                on: &mut dyn $crate::db::AsConn,
                ids: Vec<Self::Id>,
            ) -> $crate::db::Result<Vec<(Self::Id, Option<$crate::clock::Timestamp>)>> {
                queries::beats(on, ids).await
            }

            fn members(index: &$crate::registry::index::Index) -> &$crate::registry::index::Members<Self> {
                &index.$members
            }
            fn wheel(core: &$crate::registry::Core) -> &std::sync::Mutex<$crate::registry::wheel::Wheel<Self::Id>> {
                &core.wheels.$members
            }
        }
    };
}

pub(super) use member;
