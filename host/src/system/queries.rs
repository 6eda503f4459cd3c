//! SQL of replicas.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    clock::Timestamp,
    db::{AsConn, Result, Tx},
    ids::ReplicaId,
    on_db, statements,
};

statements! { STATEMENTS:
    BEAT = "INSERT INTO replicas (replica_id, address, version, started_at, last_seen) VALUES ($1, $2, $3, $4, $4) \
        ON CONFLICT (replica_id) DO UPDATE SET last_seen = excluded.last_seen";
    LIST = "SELECT replica_id, address, version, started_at, last_seen FROM replicas ORDER BY started_at, replica_id";
    LAST_SEEN = "SELECT last_seen FROM replicas WHERE replica_id = $1";
    LEAVE = "DELETE FROM replicas WHERE replica_id = $1 OR last_seen < $2";
}

/// One running `looma serve`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Replica {
    /// Its key, new with each start.
    pub replica_id: ReplicaId,
    /// Where it listens.
    pub address: String,
    /// Which version it runs.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it was last known to be there.
    pub last_seen: Timestamp,
}

pub(super) async fn beat(tx: &mut Tx, id: &ReplicaId, address: &str, now: Timestamp) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    on_db!(tx, |c| sqlx::query(BEAT).bind(id).bind(address).bind(version).bind(now).execute(c).await.map(drop))
}

pub(super) async fn list(on: &mut dyn AsConn) -> Result<Vec<Replica>> {
    on_db!(on, |c| sqlx::query_as(LIST).fetch_all(c).await)
}

pub(super) async fn last_seen(on: &mut dyn AsConn, id: &ReplicaId) -> Result<Option<Timestamp>> {
    on_db!(on, |c| sqlx::query_scalar(LAST_SEEN).bind(id).fetch_optional(c).await)
}

pub(super) async fn leave(tx: &mut Tx, id: &ReplicaId, before: Timestamp) -> Result<()> {
    on_db!(tx, |c| sqlx::query(LEAVE).bind(id).bind(before).execute(c).await.map(drop))
}
