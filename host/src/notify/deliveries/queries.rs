//! SQL of the outbox and delivery log.

use serde_json::{Value, json};

use super::types::{Answered, Delivery, DeliveryStatus};
use crate::{
    clock::Timestamp,
    db::{AsConn, Conn, Json, Result, Tx},
    ids::ReplicaId,
    notify::{channels::ChannelId, types::By},
    on_db, statements,
};

macro_rules! columns {
    () => {
        "id, channel_id, channel, route, group_id, status, alert_status, title, group_labels, alerts, attempt, next_attempt_at, \
         last_error, receipt, plugin, created_at, updated_at, delivered_at"
    };
}

/// Newest first, after a cursor, which is always there: the first page passes what no id reaches.
macro_rules! page {
    ($($and:literal),*) => {
        concat!("SELECT ", columns!(), " FROM notifications WHERE id < $1", $($and,)* " ORDER BY id DESC LIMIT $2")
    };
}

/// What may be attempted: due, and nothing of the same group before it on the same channel.
macro_rules! claim {
    ($free:literal, $lock:literal) => {
        concat!("UPDATE notifications SET attempt = attempt + 1, next_attempt_at = $3, claimed_by = $4, updated_at = $1 \
            WHERE id IN (SELECT n.id FROM notifications AS n WHERE n.status = 'queued' AND n.next_attempt_at <= $1 AND ", $free, " \
            AND NOT EXISTS (SELECT 1 FROM notifications AS e WHERE e.status = 'queued' AND e.channel_id = n.channel_id \
            AND e.group_id = n.group_id AND (e.created_at, e.alert_status, e.id) < (n.created_at, n.alert_status, n.id)) \
            ORDER BY n.next_attempt_at, n.id LIMIT $2", $lock, ") RETURNING ", columns!())
    };
}

statements! { STATEMENTS:
    PAGE = page!();
    PAGE_OF_CHANNEL = page!(" AND channel = $3 AND ($4 = '' OR status = $4)");
    PAGE_OF_STATUS = page!(" AND status = $3");
    PAGE_OF_ALERT = page!(" AND id IN (SELECT notification_id FROM notification_alerts WHERE alert_id = $3) \
        AND ($4 = '' OR channel = $4) AND ($5 = '' OR status = $5)");
    FIND = concat!("SELECT ", columns!(), " FROM notifications WHERE id = $1");
    DUE = "SELECT count(*) AS n FROM notifications WHERE status = 'queued' AND next_attempt_at <= $1";
    SETTLE = "UPDATE notifications SET status = $3, next_attempt_at = $4, last_error = $5, receipt = $6, plugin = $7, \
        delivered_at = $8, updated_at = $9, claimed_by = NULL WHERE id = $1 AND attempt = $2 AND status = 'queued'";
    RELEASE = "UPDATE notifications SET next_attempt_at = $1, claimed_by = NULL WHERE status = 'queued' AND claimed_by IS NOT NULL \
        AND claimed_by NOT IN (SELECT replica_id FROM replicas WHERE last_seen >= $2)";
    PRUNE = "DELETE FROM notifications WHERE id IN (SELECT id FROM notifications WHERE status <> 'queued' AND created_at < $1 LIMIT 10000)";
}

statements! { SQLITE:
    INSERT_SQLITE = concat!("INSERT INTO notifications (", columns!(), ") SELECT \
        value ->> 'id', value ->> 'channel_id', value ->> 'channel', value ->> 'route', value ->> 'group_id', value ->> 'status', \
        value ->> 'alert_status', value ->> 'title', value -> 'group', value -> 'alerts', value ->> 'attempt', \
        value ->> 'next_attempt_at', value ->> 'last_error', NULL, NULL, value ->> 'now', value ->> 'now', NULL FROM json_each($1)");
    INSERT_ALERTS_SQLITE = "INSERT INTO notification_alerts (alert_id, notification_id) \
        SELECT a.value ->> 'id', n.value ->> 'id' FROM json_each($1) AS n, json_each(n.value -> 'alerts') AS a";
    CLAIM_SQLITE = claim!("n.channel_id NOT IN (SELECT value FROM json_each($5))", "");
}

statements! { POSTGRES:
    INSERT_POSTGRES = concat!("INSERT INTO notifications (", columns!(), ") SELECT \
        value ->> 'id', value ->> 'channel_id', value ->> 'channel', value ->> 'route', value ->> 'group_id', value ->> 'status', \
        value ->> 'alert_status', value ->> 'title', value -> 'group', value -> 'alerts', (value ->> 'attempt')::bigint, \
        to_timestamp((value ->> 'next_attempt_at')::bigint / 1000.0), value ->> 'last_error', NULL, NULL, \
        to_timestamp((value ->> 'now')::bigint / 1000.0), to_timestamp((value ->> 'now')::bigint / 1000.0), NULL \
        FROM jsonb_array_elements($1) AS value");
    INSERT_ALERTS_POSTGRES = "INSERT INTO notification_alerts (alert_id, notification_id) \
        SELECT a ->> 'id', n ->> 'id' FROM jsonb_array_elements($1) AS n, jsonb_array_elements(n -> 'alerts') AS a";
    CLAIM_POSTGRES = claim!("n.channel_id <> ALL($5)", " FOR UPDATE SKIP LOCKED");
}

/// Puts notifications into the outbox.
pub(crate) async fn insert(tx: &mut Tx, deliveries: &[Delivery]) -> Result<()> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = deliveries.iter().map(row).collect();
    match tx.conn() {
        Conn::Sqlite(c) => {
            sqlx::query(INSERT_SQLITE).bind(Json(&rows)).execute(&mut *c).await?;
            sqlx::query(INSERT_ALERTS_SQLITE).bind(Json(&rows)).execute(c).await.map(drop)
        }
        Conn::Postgres(c) => {
            sqlx::query(INSERT_POSTGRES).bind(Json(&rows)).execute(&mut *c).await?;
            sqlx::query(INSERT_ALERTS_POSTGRES).bind(Json(&rows)).execute(c).await.map(drop)
        }
    }
}

fn row(delivery: &Delivery) -> Value {
    let Delivery { id, channel_id, channel, route, group_id, status, alert_status, title, group, alerts, .. } =
        delivery;
    let Delivery { attempt, next_attempt_at, last_error, created_at, .. } = delivery;
    json!({
        "id": id, "channel_id": channel_id, "channel": channel, "route": route, "group_id": group_id, "status": status,
        "alert_status": alert_status, "title": title, "group": group, "alerts": alerts, "attempt": attempt,
        "next_attempt_at": next_attempt_at.map(Timestamp::millis), "last_error": last_error, "now": created_at.millis(),
    })
}

/// Whose claim it is, and for how long.
pub(super) struct Claim<'a> {
    pub by: &'a ReplicaId,
    pub now: Timestamp,
    pub until: Timestamp,
}

pub(super) async fn any_due(on: &mut dyn AsConn, now: Timestamp) -> Result<bool> {
    let n: i64 = on_db!(on, |c| sqlx::query_scalar(DUE).bind(now).fetch_one(c).await)?;
    Ok(n > 0)
}

/// Takes up to `limit` that are due, none of them for a channel in `busy`; each counts as attempted from now on.
pub(super) async fn claim(tx: &mut Tx, claim: &Claim<'_>, limit: i64, busy: &[ChannelId]) -> Result<Vec<Delivery>> {
    let Claim { by, now, until } = claim;
    match tx.conn() {
        Conn::Sqlite(c) => {
            let query = sqlx::query_as(CLAIM_SQLITE).bind(now).bind(limit).bind(until).bind(by);
            query.bind(Json(busy)).fetch_all(c).await
        }
        Conn::Postgres(c) => {
            let query = sqlx::query_as(CLAIM_POSTGRES).bind(now).bind(limit).bind(until).bind(by);
            query.bind(busy).fetch_all(c).await
        }
    }
}

/// What came of an attempt.
#[derive(Debug)]
pub(super) struct Outcome {
    pub status: DeliveryStatus,
    pub next_attempt_at: Option<Timestamp>,
    pub last_error: Option<String>,
    pub receipt: Option<Answered>,
    pub plugin: Option<By>,
}

/// Writes what came of an attempt, unless the claim ran out and another attempt was made since.
pub(super) async fn settle(tx: &mut Tx, id: &str, attempt: i64, outcome: &Outcome, now: Timestamp) -> Result<()> {
    let Outcome { status, next_attempt_at, last_error, receipt, plugin } = outcome;
    let delivered_at = (*status == DeliveryStatus::Delivered).then_some(now);
    on_db!(tx, |c| sqlx::query(SETTLE)
        .bind(id)
        .bind(attempt)
        .bind(status)
        .bind(next_attempt_at)
        .bind(last_error)
        .bind(receipt.as_ref().map(Json))
        .bind(plugin.as_ref().map(Json))
        .bind(delivered_at)
        .bind(now)
        .execute(c)
        .await
        .map(drop))
}

/// Frees what replicas had claimed that have not been seen since `alive`.
pub(super) async fn release(tx: &mut Tx, now: Timestamp, alive: Timestamp) -> Result<u64> {
    on_db!(tx, |c| sqlx::query(RELEASE).bind(now).bind(alive).execute(c).await.map(|done| done.rows_affected()))
}

/// What the log is asked for.
#[derive(Debug, Default)]
pub(super) struct Filter<'a> {
    pub channel: Option<&'a str>,
    pub status: Option<DeliveryStatus>,
    pub alert: Option<&'a str>,
}

/// A page of the log, newest first, before the id `before`.
pub(super) async fn page(on: &mut dyn AsConn, filter: &Filter<'_>, before: &str, limit: i64) -> Result<Vec<Delivery>> {
    let Filter { channel, status, alert } = *filter;
    let status_text = status.map_or("", DeliveryStatus::as_str);
    match (alert, channel, status) {
        (Some(alert), channel, _) => on_db!(on, |c| sqlx::query_as(PAGE_OF_ALERT)
            .bind(before)
            .bind(limit)
            .bind(alert)
            .bind(channel.unwrap_or(""))
            .bind(status_text)
            .fetch_all(c)
            .await),
        (None, Some(channel), _) => on_db!(on, |c| sqlx::query_as(PAGE_OF_CHANNEL)
            .bind(before)
            .bind(limit)
            .bind(channel)
            .bind(status_text)
            .fetch_all(c)
            .await),
        (None, None, Some(_)) => {
            on_db!(on, |c| sqlx::query_as(PAGE_OF_STATUS).bind(before).bind(limit).bind(status_text).fetch_all(c).await)
        }
        (None, None, None) => on_db!(on, |c| sqlx::query_as(PAGE).bind(before).bind(limit).fetch_all(c).await),
    }
}

pub(super) async fn find(on: &mut dyn AsConn, id: &str) -> Result<Option<Delivery>> {
    on_db!(on, |c| sqlx::query_as(FIND).bind(id).fetch_optional(c).await)
}

/// Forgets what came to an end and was made before `before`.
pub(crate) async fn prune(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    on_db!(tx, |c| sqlx::query(PRUNE).bind(before).execute(c).await.map(|done| done.rows_affected()))
}
