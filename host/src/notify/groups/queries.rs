//! SQL of groups and their members.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    db::{AsConn, Conn, Json, Result, Tx},
    notify::{
        routing::{Route, RouteId},
        types::{AlertStatus, Labels, Told},
    },
    on_db, statements,
};

macro_rules! group {
    () => {
        "group_id, route_id, labels, next_at, not_before, last_sent_at"
    };
}

statements! { STATEMENTS:
    // A group that was not told yet keeps its time; one that was is looked at when its pause is over.
    OPEN = "INSERT INTO notification_groups (group_id, route_id, labels, next_at, created_at) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (group_id) DO UPDATE SET next_at = CASE \
        WHEN notification_groups.not_before IS NULL THEN notification_groups.next_at \
        WHEN notification_groups.next_at <= notification_groups.not_before THEN notification_groups.next_at \
        WHEN notification_groups.not_before > $5 THEN notification_groups.not_before \
        WHEN notification_groups.next_at <= $5 THEN notification_groups.next_at ELSE $5 END";
    ANY_DUE = "SELECT count(*) AS n FROM notification_groups WHERE next_at <= $1";
    MEMBERS = "SELECT status, told, changed, quiet, alert FROM notification_members WHERE group_id = $1 ORDER BY alert_id";
    FORGET_ENDED = "DELETE FROM notification_members WHERE group_id = $1 AND status = 'resolved'";
    PLAN = "UPDATE notification_groups SET next_at = $2, not_before = $3, last_sent_at = $4 WHERE group_id = $1";
    DELETE = "DELETE FROM notification_groups WHERE group_id = $1";
    HUSH = "UPDATE notification_members SET quiet = TRUE WHERE alert_id = $1";
}

statements! { SQLITE:
    OF_ALERTS_SQLITE = "SELECT DISTINCT group_id FROM notification_members WHERE alert_id IN (SELECT value FROM json_each($1))";
    TOLD_SQLITE = "UPDATE notification_members SET told = TRUE, changed = FALSE WHERE group_id = $1 AND alert_id IN (SELECT value FROM json_each($2))";
    DUE_SQLITE = concat!("SELECT ", group!(), " FROM notification_groups WHERE next_at <= $1 ORDER BY next_at, group_id LIMIT $2");
    PUT_MEMBERS_SQLITE = "INSERT INTO notification_members (group_id, alert_id, status, told, changed, quiet, alert) \
        SELECT $1, value ->> 'id', value ->> 'status', FALSE, TRUE, FALSE, value FROM json_each($2) WHERE TRUE \
        ON CONFLICT (group_id, alert_id) DO UPDATE SET status = excluded.status, changed = TRUE, quiet = FALSE, alert = excluded.alert";
    END_SQLITE = "UPDATE notification_members SET status = 'resolved', alert = ended.value FROM json_each($1) AS ended \
        WHERE notification_members.alert_id = ended.value ->> 'id'";
    PACE_ENDED_SQLITE = "UPDATE notification_groups SET next_at = CASE WHEN not_before > $2 THEN not_before ELSE $2 END \
        WHERE not_before IS NOT NULL AND next_at > $2 AND next_at > not_before AND group_id IN \
        (SELECT group_id FROM notification_members WHERE alert_id IN (SELECT value FROM json_each($1)))";
    HASTEN_ENDED_SQLITE = "UPDATE notification_groups SET next_at = $2 WHERE not_before IS NOT NULL AND next_at > $2 AND group_id IN \
        (SELECT group_id FROM notification_members WHERE alert_id IN (SELECT value FROM json_each($1))) \
        AND NOT EXISTS (SELECT 1 FROM notification_members AS m WHERE m.group_id = notification_groups.group_id AND m.status = 'firing')";
}

statements! { POSTGRES:
    OF_ALERTS_POSTGRES = "SELECT DISTINCT group_id FROM notification_members WHERE alert_id = ANY($1)";
    HOLD_POSTGRES = "SELECT group_id FROM notification_groups WHERE group_id = ANY($1) ORDER BY group_id FOR UPDATE";
    TOLD_POSTGRES = "UPDATE notification_members SET told = TRUE, changed = FALSE WHERE group_id = $1 AND alert_id = ANY($2)";
    DUE_POSTGRES = concat!("SELECT ", group!(), " FROM notification_groups WHERE next_at <= $1 ORDER BY next_at, group_id LIMIT $2 \
        FOR UPDATE SKIP LOCKED");
    PUT_MEMBERS_POSTGRES = "INSERT INTO notification_members (group_id, alert_id, status, told, changed, quiet, alert) \
        SELECT $1, value ->> 'id', value ->> 'status', FALSE, TRUE, FALSE, value FROM jsonb_array_elements($2) AS value \
        ON CONFLICT (group_id, alert_id) DO UPDATE SET status = excluded.status, changed = TRUE, quiet = FALSE, alert = excluded.alert";
    END_POSTGRES = "UPDATE notification_members SET status = 'resolved', alert = ended FROM jsonb_array_elements($1) AS ended \
        WHERE notification_members.alert_id = ended ->> 'id'";
    PACE_ENDED_POSTGRES = "UPDATE notification_groups SET next_at = CASE WHEN not_before > $2 THEN not_before ELSE $2 END \
        WHERE not_before IS NOT NULL AND next_at > $2 AND next_at > not_before AND group_id IN \
        (SELECT group_id FROM notification_members WHERE alert_id = ANY($1))";
    HASTEN_ENDED_POSTGRES = "UPDATE notification_groups SET next_at = $2 WHERE not_before IS NOT NULL AND next_at > $2 AND group_id IN \
        (SELECT group_id FROM notification_members WHERE alert_id = ANY($1)) \
        AND NOT EXISTS (SELECT 1 FROM notification_members AS m WHERE m.group_id = notification_groups.group_id AND m.status = 'firing')";
}

/// A group whose time has come.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Group {
    pub group_id: String,
    pub route_id: RouteId,
    pub labels: Json<Labels>,
    pub next_at: Timestamp,
    pub not_before: Option<Timestamp>,
    pub last_sent_at: Option<Timestamp>,
}

/// An alert in a group.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Member {
    pub status: AlertStatus,
    pub told: bool,
    /// Whether it has changed since.
    pub changed: bool,
    pub quiet: bool,
    pub alert: Json<Told>,
}

/// Makes a group, or sees to it that one that is there is looked at when its pause is over.
pub(super) async fn open(tx: &mut Tx, id: &str, route: &Route, labels: &Labels, now: Timestamp) -> Result<()> {
    let wait = Duration::from_secs(u64::try_from(route.spec.group_wait_seconds).unwrap_or(0));
    on_db!(tx, |c| sqlx::query(OPEN)
        .bind(id)
        .bind(&route.route_id)
        .bind(Json(labels))
        .bind(now.plus(wait))
        .bind(now)
        .execute(c)
        .await
        .map(drop))
}

/// The groups that have one of these alerts.
pub(super) async fn of_alerts(tx: &mut Tx, alerts: &[&str]) -> Result<Vec<String>> {
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query_scalar(OF_ALERTS_SQLITE).bind(Json(alerts)).fetch_all(c).await,
        Conn::Postgres(c) => sqlx::query_scalar(OF_ALERTS_POSTGRES).bind(alerts).fetch_all(c).await,
    }
}

/// Nobody else changes these groups, or what is in them, before the transaction ends. On SQLite there is no other writer.
pub(super) async fn hold(tx: &mut Tx, groups: &[String]) -> Result<()> {
    match tx.conn() {
        Conn::Sqlite(_) => Ok(()),
        Conn::Postgres(c) => sqlx::query(HOLD_POSTGRES).bind(groups).execute(c).await.map(drop),
    }
}

/// Puts alerts that fire into a group, to be told.
pub(super) async fn put_members(tx: &mut Tx, id: &str, alerts: &[&Told]) -> Result<()> {
    if alerts.is_empty() {
        return Ok(());
    }
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query(PUT_MEMBERS_SQLITE).bind(id).bind(Json(alerts)).execute(c).await.map(drop),
        Conn::Postgres(c) => sqlx::query(PUT_MEMBERS_POSTGRES).bind(id).bind(Json(alerts)).execute(c).await.map(drop),
    }
}

/// Marks alerts as over in each group that they are in; what was told is looked at when the group's pause is over.
pub(super) async fn end(tx: &mut Tx, alerts: &[&Told], now: Timestamp) -> Result<()> {
    if alerts.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = alerts.iter().map(|alert| alert.id.as_str()).collect();
    match tx.conn() {
        Conn::Sqlite(c) => {
            sqlx::query(END_SQLITE).bind(Json(alerts)).execute(&mut *c).await?;
            sqlx::query(PACE_ENDED_SQLITE).bind(Json(ids)).bind(now).execute(c).await.map(drop)
        }
        Conn::Postgres(c) => {
            sqlx::query(END_POSTGRES).bind(Json(alerts)).execute(&mut *c).await?;
            sqlx::query(PACE_ENDED_POSTGRES).bind(ids).bind(now).execute(c).await.map(drop)
        }
    }
}

/// Groups of these alerts in which nothing fires any more are looked at now.
pub(super) async fn hasten_ended(tx: &mut Tx, alerts: &[&Told], now: Timestamp) -> Result<()> {
    if alerts.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = alerts.iter().map(|alert| alert.id.as_str()).collect();
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query(HASTEN_ENDED_SQLITE).bind(Json(ids)).bind(now).execute(c).await.map(drop),
        Conn::Postgres(c) => sqlx::query(HASTEN_ENDED_POSTGRES).bind(ids).bind(now).execute(c).await.map(drop),
    }
}

pub(super) async fn any_due(on: &mut dyn AsConn, now: Timestamp) -> Result<bool> {
    let n: i64 = on_db!(on, |c| sqlx::query_scalar(ANY_DUE).bind(now).fetch_one(c).await)?;
    Ok(n > 0)
}

/// Groups whose time has come; on PostgreSQL they are locked, and what another replica has locked is left to it.
pub(super) async fn due(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<Vec<Group>> {
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query_as(DUE_SQLITE).bind(now).bind(limit).fetch_all(c).await,
        Conn::Postgres(c) => sqlx::query_as(DUE_POSTGRES).bind(now).bind(limit).fetch_all(c).await,
    }
}

pub(super) async fn members(tx: &mut Tx, id: &str) -> Result<Vec<Member>> {
    on_db!(tx, |c| sqlx::query_as(MEMBERS).bind(id).fetch_all(c).await)
}

/// The channels know now that these fire.
pub(super) async fn set_told(tx: &mut Tx, id: &str, alerts: &[String]) -> Result<()> {
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query(TOLD_SQLITE).bind(id).bind(Json(alerts)).execute(c).await.map(drop),
        Conn::Postgres(c) => sqlx::query(TOLD_POSTGRES).bind(id).bind(alerts).execute(c).await.map(drop),
    }
}

/// Forgets what is over.
pub(super) async fn forget_ended(tx: &mut Tx, id: &str) -> Result<()> {
    on_db!(tx, |c| sqlx::query(FORGET_ENDED).bind(id).execute(c).await.map(drop))
}

/// Says when a group is looked at again.
pub(super) async fn plan(tx: &mut Tx, group: &Group) -> Result<()> {
    let Group { group_id, route_id: _, labels: _, next_at, not_before, last_sent_at } = group;
    on_db!(tx, |c| sqlx::query(PLAN)
        .bind(group_id)
        .bind(next_at)
        .bind(not_before)
        .bind(last_sent_at)
        .execute(c)
        .await
        .map(drop))
}

pub(super) async fn delete(tx: &mut Tx, id: &str) -> Result<()> {
    on_db!(tx, |c| sqlx::query(DELETE).bind(id).execute(c).await.map(drop))
}

pub(super) async fn hush(tx: &mut Tx, alert: &str) -> Result<()> {
    on_db!(tx, |c| sqlx::query(HUSH).bind(alert).execute(c).await.map(drop))
}
