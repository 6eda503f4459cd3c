//! SQL of nodes.

use serde_json::{Value, json};

use super::types::Node;
use crate::{
    clock::Timestamp,
    db::{AsConn, Conn, Json, Result, Tx},
    ids::NodeId,
    on_db, statements,
};

macro_rules! columns {
    () => {
        "node_id, node_name, node_type, host_address, port, capabilities, resources, tags, ttl_seconds, status, \
        health_status, health_reason, draining, maintenance, last_seen, created_at, updated_at, revision"
    };
}

macro_rules! upsert {
    () => {
        "ON CONFLICT (node_id) DO UPDATE SET node_name = excluded.node_name, node_type = excluded.node_type, \
        host_address = excluded.host_address, port = excluded.port, capabilities = excluded.capabilities, \
        resources = excluded.resources, tags = excluded.tags, ttl_seconds = excluded.ttl_seconds, \
        status = excluded.status, health_status = excluded.health_status, health_reason = excluded.health_reason, \
        draining = excluded.draining, maintenance = excluded.maintenance, last_seen = excluded.last_seen, \
        updated_at = excluded.updated_at, revision = excluded.revision"
    };
}

statements! { STATEMENTS:
    ALL = concat!("SELECT ", columns!(), " FROM cluster_nodes");
}

statements! { SQLITE:
    LOCK_SQLITE = concat!("SELECT ", columns!(), " FROM cluster_nodes \
        WHERE node_id IN (SELECT value FROM json_each($1))");
    PUT_SQLITE = concat!("INSERT INTO cluster_nodes (", columns!(), ") SELECT value ->> 0, value ->> 1, value ->> 2, \
        value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, \
        value ->> 11, value ->> 12, value ->> 13, value ->> 14, value ->> 15, value ->> 16, value ->> 17 \
        FROM json_each($1) WHERE TRUE ", upsert!());
    DELETE_SQLITE = "DELETE FROM cluster_nodes WHERE node_id IN (SELECT value FROM json_each($1))";
    BEATS_SQLITE = "SELECT node_id, last_seen FROM cluster_nodes WHERE node_id IN (SELECT value FROM json_each($1))";
    FLUSH_SQLITE = "UPDATE cluster_nodes SET last_seen = max(beat.at, coalesce(last_seen + 1, beat.at)) \
        FROM (SELECT value ->> 0 AS id, value ->> 1 AS at FROM json_each($1)) AS beat WHERE node_id = beat.id";
}

statements! { POSTGRES:
    LOCK_POSTGRES = concat!("SELECT ", columns!(), " FROM cluster_nodes WHERE node_id = ANY($1) ORDER BY node_id FOR UPDATE");
    PUT_POSTGRES = concat!("INSERT INTO cluster_nodes (", columns!(), ") SELECT r ->> 0, r ->> 1, r ->> 2, r ->> 3, \
        (r ->> 4)::bigint, r -> 5, r -> 6, r -> 7, (r ->> 8)::bigint, r ->> 9, r ->> 10, r ->> 11, (r ->> 12)::boolean, \
        r -> 13, to_timestamp((r ->> 14)::bigint / 1000.0), to_timestamp((r ->> 15)::bigint / 1000.0), \
        to_timestamp((r ->> 16)::bigint / 1000.0), (r ->> 17)::bigint FROM jsonb_array_elements($1) AS r ", upsert!());
    DELETE_POSTGRES = "DELETE FROM cluster_nodes WHERE node_id = ANY($1)";
    BEATS_POSTGRES = "SELECT node_id, last_seen FROM cluster_nodes WHERE node_id = ANY($1)";
    // Locked in the order of keys, as everybody does, so that two replicas cannot wait for each other.
    FLUSH_POSTGRES = "WITH beat AS (SELECT * FROM UNNEST($1::text[], $2::timestamptz[]) AS b (id, at)), \
        locked AS MATERIALIZED (SELECT node_id FROM cluster_nodes WHERE node_id = ANY($1) ORDER BY node_id FOR UPDATE) \
        UPDATE cluster_nodes AS n SET last_seen = greatest(beat.at, n.last_seen + interval '1 millisecond') \
        FROM beat JOIN locked ON locked.node_id = beat.id WHERE n.node_id = beat.id";
}

pub(in super::super) async fn all(on: &mut dyn AsConn) -> Result<Vec<Node>> {
    on_db!(on, |c| sqlx::query_as(ALL).fetch_all(c).await)
}

/// The nodes that are there, kept from changing until the transaction ends.
pub(super) async fn lock(tx: &mut Tx, ids: Vec<NodeId>) -> Result<Vec<Node>> {
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query_as(LOCK_SQLITE).bind(Json(ids)).fetch_all(c).await,
        Conn::Postgres(c) => sqlx::query_as(LOCK_POSTGRES).bind(ids).fetch_all(c).await,
    }
}

pub(super) async fn put(tx: &mut Tx, nodes: &[Node]) -> Result<()> {
    let rows = Json(nodes.iter().map(row).collect::<Vec<_>>());
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query(PUT_SQLITE).bind(rows).execute(c).await.map(drop),
        Conn::Postgres(c) => sqlx::query(PUT_POSTGRES).bind(rows).execute(c).await.map(drop),
    }
}

/// In the order of `columns!`.
fn row(node: &Node) -> Value {
    let Node {
        node_id,
        node_name,
        node_type,
        host_address,
        port,
        capabilities,
        resources,
        tags,
        ttl_seconds,
        status,
        health_status,
        health_reason,
        draining,
        maintenance,
        last_seen,
        created_at,
        updated_at,
        revision,
    } = node;
    let last_seen = last_seen.map(Timestamp::millis);
    json!([
        node_id,
        node_name,
        node_type,
        host_address,
        port,
        capabilities,
        resources,
        tags,
        ttl_seconds,
        status,
        health_status,
        health_reason,
        draining,
        maintenance,
        last_seen,
        created_at.millis(),
        updated_at.millis(),
        revision
    ])
}

pub(super) async fn delete(tx: &mut Tx, ids: Vec<NodeId>) -> Result<()> {
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query(DELETE_SQLITE).bind(Json(ids)).execute(c).await.map(drop),
        Conn::Postgres(c) => sqlx::query(DELETE_POSTGRES).bind(ids).execute(c).await.map(drop),
    }
}

pub(super) async fn beats(on: &mut dyn AsConn, ids: Vec<NodeId>) -> Result<Vec<(NodeId, Option<Timestamp>)>> {
    match on.conn() {
        Conn::Sqlite(c) => sqlx::query_as(BEATS_SQLITE).bind(Json(ids)).fetch_all(c).await,
        Conn::Postgres(c) => sqlx::query_as(BEATS_POSTGRES).bind(ids).fetch_all(c).await,
    }
}

/// Writes heartbeats. A stored time always rises, whatever the clocks of two replicas say.
pub(super) async fn flush(tx: &mut Tx, beats: &[(NodeId, Timestamp)]) -> Result<()> {
    match tx.conn() {
        Conn::Sqlite(c) => {
            let rows: Vec<_> = beats.iter().map(|(id, at)| (id, at.millis())).collect();
            sqlx::query(FLUSH_SQLITE).bind(Json(rows)).execute(c).await.map(drop)
        }
        Conn::Postgres(c) => {
            let (ids, at): (Vec<_>, Vec<_>) = beats.iter().cloned().unzip();
            sqlx::query(FLUSH_POSTGRES).bind(ids).bind(at).execute(c).await.map(drop)
        }
    }
}
