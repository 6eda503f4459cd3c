//! SQL of services.

use serde_json::{Value, json};

use super::types::Service;
use crate::{
    clock::Timestamp,
    db::{AsConn, Conn, Json, Result, Tx},
    ids::ServiceId,
    on_db, statements,
};

macro_rules! columns {
    () => {
        "service_id, service_name, service_type, service_url, node_id, cluster_id, capabilities, config, tags, weight, \
        ttl_seconds, health_check, status, health_status, health_reason, maintenance, origin, last_heartbeat, \
        registered_at, updated_at, revision, deregister_after_seconds, health_since, signals"
    };
}

macro_rules! upsert {
    () => {
        "ON CONFLICT (service_id) DO UPDATE SET service_name = excluded.service_name, service_type = excluded.service_type, \
        service_url = excluded.service_url, node_id = excluded.node_id, cluster_id = excluded.cluster_id, \
        capabilities = excluded.capabilities, config = excluded.config, tags = excluded.tags, weight = excluded.weight, \
        ttl_seconds = excluded.ttl_seconds, health_check = excluded.health_check, status = excluded.status, \
        health_status = excluded.health_status, health_reason = excluded.health_reason, \
        maintenance = excluded.maintenance, origin = excluded.origin, last_heartbeat = excluded.last_heartbeat, \
        updated_at = excluded.updated_at, revision = excluded.revision, \
        deregister_after_seconds = excluded.deregister_after_seconds, health_since = excluded.health_since, \
        signals = excluded.signals"
    };
}

statements! { STATEMENTS:
    ALL = concat!("SELECT ", columns!(), " FROM service_registry");
}

statements! { SQLITE:
    LOCK_SQLITE = concat!("SELECT ", columns!(), " FROM service_registry \
        WHERE service_id IN (SELECT value FROM json_each($1))");
    PUT_SQLITE = concat!("INSERT INTO service_registry (", columns!(), ") SELECT value ->> 0, value ->> 1, value ->> 2, \
        value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, \
        value ->> 11, value ->> 12, value ->> 13, value ->> 14, value ->> 15, value ->> 16, value ->> 17, value ->> 18, \
        value ->> 19, value ->> 20, value ->> 21, value ->> 22, value ->> 23 FROM json_each($1) WHERE TRUE ", upsert!());
    DELETE_SQLITE = "DELETE FROM service_registry WHERE service_id IN (SELECT value FROM json_each($1))";
    BEATS_SQLITE = "SELECT service_id, last_heartbeat FROM service_registry \
        WHERE service_id IN (SELECT value FROM json_each($1))";
    FLUSH_SQLITE = "UPDATE service_registry SET last_heartbeat = max(beat.at, coalesce(last_heartbeat + 1, beat.at)) \
        FROM (SELECT value ->> 0 AS id, value ->> 1 AS at FROM json_each($1)) AS beat WHERE service_id = beat.id";
}

statements! { POSTGRES:
    LOCK_POSTGRES = concat!("SELECT ", columns!(), " FROM service_registry WHERE service_id = ANY($1) \
        ORDER BY service_id FOR UPDATE");
    PUT_POSTGRES = concat!("INSERT INTO service_registry (", columns!(), ") SELECT r ->> 0, r ->> 1, r ->> 2, r ->> 3, r ->> 4, \
        r ->> 5, r -> 6, r -> 7, r -> 8, (r ->> 9)::bigint, (r ->> 10)::bigint, (r ->> 11)::jsonb, r ->> 12, r ->> 13, \
        r ->> 14, r -> 15, r ->> 16, to_timestamp((r ->> 17)::bigint / 1000.0), to_timestamp((r ->> 18)::bigint / 1000.0), \
        to_timestamp((r ->> 19)::bigint / 1000.0), (r ->> 20)::bigint, \
        (r ->> 21)::bigint, to_timestamp((r ->> 22)::bigint / 1000.0), r -> 23 FROM jsonb_array_elements($1) AS r ", upsert!());
    DELETE_POSTGRES = "DELETE FROM service_registry WHERE service_id = ANY($1)";
    BEATS_POSTGRES = "SELECT service_id, last_heartbeat FROM service_registry WHERE service_id = ANY($1)";
    // Locked in the order of keys, as everybody does, so that two replicas cannot wait for each other.
    FLUSH_POSTGRES = "WITH beat AS (SELECT * FROM UNNEST($1::text[], $2::timestamptz[]) AS b (id, at)), \
        locked AS MATERIALIZED (SELECT service_id FROM service_registry WHERE service_id = ANY($1) ORDER BY service_id FOR UPDATE) \
        UPDATE service_registry AS s \
        SET last_heartbeat = greatest(beat.at, s.last_heartbeat + interval '1 millisecond') \
        FROM beat JOIN locked ON locked.service_id = beat.id WHERE s.service_id = beat.id";
}

pub(in super::super) async fn all(on: &mut dyn AsConn) -> Result<Vec<Service>> {
    on_db!(on, |c| sqlx::query_as(ALL).fetch_all(c).await)
}

/// The services that are there, kept from changing until the transaction ends.
pub(super) async fn lock(tx: &mut Tx, ids: Vec<ServiceId>) -> Result<Vec<Service>> {
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query_as(LOCK_SQLITE).bind(Json(ids)).fetch_all(c).await,
        Conn::Postgres(c) => sqlx::query_as(LOCK_POSTGRES).bind(ids).fetch_all(c).await,
    }
}

pub(super) async fn put(tx: &mut Tx, services: &[Service]) -> Result<()> {
    let rows = Json(services.iter().map(row).collect::<Vec<_>>());
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query(PUT_SQLITE).bind(rows).execute(c).await.map(drop),
        Conn::Postgres(c) => sqlx::query(PUT_POSTGRES).bind(rows).execute(c).await.map(drop),
    }
}

/// In the order of `columns!`.
fn row(service: &Service) -> Value {
    let Service {
        service_id,
        service_name,
        service_type,
        service_url,
        node_id,
        cluster_id,
        capabilities,
        config,
        tags,
        weight,
        ttl_seconds,
        check,
        deregister_after_seconds,
        status,
        health_status,
        health_reason,
        health_since,
        signals,
        maintenance,
        origin,
        last_heartbeat,
        registered_at,
        updated_at,
        revision,
    } = service;
    let last_heartbeat = last_heartbeat.map(Timestamp::millis);
    json!([
        service_id,
        service_name,
        service_type,
        service_url,
        node_id,
        cluster_id,
        capabilities,
        config,
        tags,
        weight,
        ttl_seconds,
        check,
        status,
        health_status,
        health_reason,
        maintenance,
        origin,
        last_heartbeat,
        registered_at.millis(),
        updated_at.millis(),
        revision,
        deregister_after_seconds,
        health_since.millis(),
        signals
    ])
}

pub(super) async fn delete(tx: &mut Tx, ids: Vec<ServiceId>) -> Result<()> {
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query(DELETE_SQLITE).bind(Json(ids)).execute(c).await.map(drop),
        Conn::Postgres(c) => sqlx::query(DELETE_POSTGRES).bind(ids).execute(c).await.map(drop),
    }
}

pub(super) async fn beats(on: &mut dyn AsConn, ids: Vec<ServiceId>) -> Result<Vec<(ServiceId, Option<Timestamp>)>> {
    match on.conn() {
        Conn::Sqlite(c) => sqlx::query_as(BEATS_SQLITE).bind(Json(ids)).fetch_all(c).await,
        Conn::Postgres(c) => sqlx::query_as(BEATS_POSTGRES).bind(ids).fetch_all(c).await,
    }
}

/// Writes heartbeats. A stored time always rises, whatever the clocks of two replicas say.
pub(super) async fn flush(tx: &mut Tx, beats: &[(ServiceId, Timestamp)]) -> Result<()> {
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
