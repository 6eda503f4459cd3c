//! SQL of the feed: its head, its changes, and the audit rows that are written with them; what it tells other replicas.

use serde_json::{Value, json};

use super::types::{Audit, Behind, Change, Op};
use crate::{
    clock::Timestamp,
    db::{AsConn, Conn, DbError, Json, Result, Tx},
    ids::{ReplicaId, Revision},
    on_db, statements,
};

/// Where PostgreSQL tells of commits.
pub(super) const CHANNEL: &str = "looma_feed";

macro_rules! columns {
    () => {
        "revision, replica_id, topic, op, key, value, at"
    };
}

statements! { STATEMENTS:
    HEAD = "SELECT revision FROM feed_head WHERE one = 1";
    RAISE_HEAD = "UPDATE feed_head SET revision = revision + $1 WHERE one = 1 RETURNING revision";
    AFTER = concat!("SELECT ", columns!(), " FROM changes WHERE revision > $1 ORDER BY revision LIMIT $2");
    BETWEEN = concat!("SELECT ", columns!(), " FROM changes WHERE revision > $1 AND revision < $2 ORDER BY revision");
    PRUNE = "DELETE FROM changes WHERE at < $1 AND revision <= $2";
}

statements! { SQLITE:
    INSERT_SQLITE = concat!("INSERT INTO changes (", columns!(), ") \
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6 \
        FROM json_each($1)");
    INSERT_AUDIT_SQLITE = "INSERT INTO audit_logs (audit_id, actor, action, resource_type, resource_id, before_value, \
        after_value, source, request_id, created_at) \
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, \
        value ->> 8, value ->> 9 FROM json_each($1)";
}

statements! { POSTGRES:
    // It tells the other replicas in the same round trip; they hear of it when it is committed.
    INSERT_POSTGRES = concat!("WITH told AS MATERIALIZED (SELECT pg_notify($8, $9)) INSERT INTO changes (", columns!(), ") \
        SELECT change.* FROM told, UNNEST($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]::jsonb[], \
        $7::timestamptz[]) AS change");
    INSERT_AUDIT_POSTGRES = "INSERT INTO audit_logs (audit_id, actor, action, resource_type, resource_id, before_value, \
        after_value, source, request_id, created_at) \
        SELECT row ->> 0, row ->> 1, row ->> 2, row ->> 3, row ->> 4, (row ->> 5)::jsonb, (row ->> 6)::jsonb, row ->> 7, \
        row ->> 8, to_timestamp((row ->> 9)::bigint / 1000.0) FROM jsonb_array_elements($1) AS row";
}

#[derive(sqlx::FromRow)]
struct Row {
    revision: Revision,
    replica_id: ReplicaId,
    topic: String,
    op: Op,
    key: String,
    value: Option<Json<Box<serde_json::value::RawValue>>>,
    at: Timestamp,
}

impl From<Row> for Change {
    fn from(row: Row) -> Self {
        let Row { revision, replica_id, topic, op, key, value, at } = row;
        let value = value.map(|Json(value)| String::from(Box::<str>::from(value)));
        Self { revision, topic, op, key, value, at, replica: replica_id }
    }
}

pub(super) async fn head(on: &mut dyn AsConn) -> Result<Revision> {
    on_db!(on, |c| sqlx::query_scalar(HEAD).fetch_one(c).await)
}

/// Takes the lock of the feed until the transaction ends, and gives the last of `count` new revisions.
pub(super) async fn raise_head(tx: &mut Tx, count: i64) -> Result<Revision> {
    on_db!(tx, |c| sqlx::query_scalar(RAISE_HEAD).bind(count).fetch_one(c).await)
}

pub(super) async fn after(on: &mut dyn AsConn, seen: Revision, limit: i64) -> Result<Vec<Change>> {
    let rows: Vec<Row> = on_db!(on, |c| sqlx::query_as(AFTER).bind(seen).bind(limit).fetch_all(c).await)?;
    Ok(rows.into_iter().map(Change::from).collect())
}

pub(super) async fn between(on: &mut dyn AsConn, after: Revision, before: Revision) -> Result<Vec<Change>> {
    let rows: Vec<Row> = on_db!(on, |c| sqlx::query_as(BETWEEN).bind(after).bind(before).fetch_all(c).await)?;
    Ok(rows.into_iter().map(Change::from).collect())
}

/// What a notification says: who committed, and up to which revision.
pub(super) fn notice(replica: &ReplicaId, last: Revision) -> String {
    format!("{replica} {last}")
}

/// The error of a statement that would build on what memory has missed.
pub(super) fn behind(behind: Behind) -> DbError {
    sqlx::Error::AnyDriverError(Box::new(behind))
}

/// Whether a write was refused because this replica has missed changes that are no longer kept.
pub fn is_behind(error: &DbError) -> bool {
    matches!(error, sqlx::Error::AnyDriverError(cause) if cause.is::<Behind>())
}

pub(super) async fn insert(tx: &mut Tx, changes: &[Change]) -> Result<()> {
    let Some(Change { revision: last, replica, .. }) = changes.last() else { return Ok(()) };
    let notice = notice(replica, *last);
    match tx.conn() {
        Conn::Sqlite(c) => {
            let rows: Vec<Value> = changes
                .iter()
                .map(|Change { revision, topic, op, key, value, at, replica }| {
                    json!([revision, replica, topic, op, key, value, at.millis()])
                })
                .collect();
            sqlx::query(INSERT_SQLITE).bind(Json(rows)).execute(c).await?;
        }
        Conn::Postgres(c) => {
            sqlx::query(INSERT_POSTGRES)
                .bind(changes.iter().map(|change| change.revision).collect::<Vec<_>>())
                .bind(changes.iter().map(|change| &change.replica).cloned().collect::<Vec<_>>())
                .bind(changes.iter().map(|change| change.topic.as_str()).collect::<Vec<_>>())
                .bind(changes.iter().map(|change| change.op.as_str()).collect::<Vec<_>>())
                .bind(changes.iter().map(|change| change.key.as_str()).collect::<Vec<_>>())
                .bind(changes.iter().map(|change| change.value.as_deref()).collect::<Vec<_>>())
                .bind(changes.iter().map(|change| change.at).collect::<Vec<_>>())
                .bind(CHANNEL)
                .bind(notice)
                .execute(c)
                .await?;
        }
    }
    Ok(())
}

pub(super) async fn insert_audit(tx: &mut Tx, audit: &[Audit], next_id: impl Fn() -> String) -> Result<()> {
    if audit.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = audit
        .iter()
        .map(|Audit { actor, action, resource_type, resource_id, before, after, at }| {
            // As text: a JSON null must become an SQL null, and JSON must stay what it was.
            let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
            json!([
                next_id(),
                actor.name,
                action,
                resource_type,
                resource_id,
                text(before),
                text(after),
                actor.source,
                actor.request,
                at.millis()
            ])
        })
        .collect();
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query(INSERT_AUDIT_SQLITE).bind(Json(rows)).execute(c).await.map(drop),
        Conn::Postgres(c) => sqlx::query(INSERT_AUDIT_POSTGRES).bind(Json(rows)).execute(c).await.map(drop),
    }
}

/// Forgets changes older than `before`, and never the newest one.
pub(super) async fn prune(tx: &mut Tx, before: Timestamp, up_to: Revision) -> Result<u64> {
    on_db!(tx, |c| sqlx::query(PRUNE).bind(before).bind(up_to).execute(c).await.map(|done| done.rows_affected()))
}
