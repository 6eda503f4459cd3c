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
    /// What it is called.
    const WHAT: &'static str;

    fn id(&self) -> &Self::Id;
    fn revision(&self) -> Revision;
    fn set_revision(&mut self, revision: Revision);
    fn ttl_seconds(&self) -> i64;
    fn health(&self) -> Health;
    fn status(&self) -> &'static str;
    fn last_beat(&self) -> Option<Timestamp>;
    /// The same, last heard of at `at`.
    fn seen(self, at: Option<Timestamp>) -> Self;
    fn is_woken_by_a_beat(&self) -> bool;
    fn beaten(self, now: Timestamp) -> Self;
    fn silent(self, reason: &str, now: Timestamp) -> Self;

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
    ($type:ident, $id:ident, $key:ident, $topic:ident, $what:literal, $beat:ident, $members:ident) => {
        impl $crate::registry::member::Member for $type {
            type Id = $crate::ids::$id;
            const TOPIC: $crate::feed::Topic = $topic;
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
            fn health(&self) -> $crate::registry::Health {
                self.health_status
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
