//! SQL of alerts and of what evaluators remember.

use serde_json::{Value, json};

use super::types::{Alert, AlertId, RuleId, Status};
use crate::{
    clock::Timestamp,
    db::{AsConn, Conn, Json, Result, Tx},
    metrics::SeriesId,
    notify::Severity,
    on_db, statements,
};

macro_rules! columns {
    () => {
        "id, rule_id, rule_name, series, service_id, service_name, service_type, metric_name, alert_level, status, message, value, \
         labels, fired_at, clear_since, resolved, resolved_at, resolve_reason, acknowledged_by, acknowledged_at, plugin, created_at, \
         updated_at"
    };
}

/// Newest first, after a cursor, which is always there: the first page passes what no id reaches.
macro_rules! page {
    ($and:literal) => {
        concat!("SELECT ", columns!(), " FROM alert_records WHERE id < $1", $and, " AND ($3 = '' OR status = $3) \
            AND ($4 = '' OR alert_level = $4) AND ($5 = '' OR CASE WHEN resolved THEN 'true' ELSE 'false' END = $5) \
            ORDER BY id DESC LIMIT $2")
    };
}

/// What changes in a record after it was made.
macro_rules! changed {
    () => {
        " ON CONFLICT (id) DO UPDATE SET alert_level = excluded.alert_level, status = excluded.status, message = excluded.message, \
         value = excluded.value, fired_at = excluded.fired_at, clear_since = excluded.clear_since, resolved = excluded.resolved, \
         resolved_at = excluded.resolved_at, resolve_reason = excluded.resolve_reason, acknowledged_by = excluded.acknowledged_by, \
         acknowledged_at = excluded.acknowledged_at, plugin = excluded.plugin, updated_at = excluded.updated_at"
    };
}

statements! { STATEMENTS:
    OPEN = concat!("SELECT ", columns!(), " FROM alert_records WHERE status <> 'resolved'");
    FIND = concat!("SELECT ", columns!(), " FROM alert_records WHERE id = $1");
    PAGE = page!("");
    PAGE_OF_STATUS = page!(" AND status = $6");
    PAGE_OF_RULE = page!(" AND rule_id = $6 AND ($7 = '' OR service_id = $7)");
    PAGE_OF_SERVICE = page!(" AND service_id = $6");
    ACKNOWLEDGE = concat!("UPDATE alert_records SET acknowledged_by = $2, acknowledged_at = $3, updated_at = $3 \
        WHERE id = $1 AND status <> 'resolved' RETURNING ", columns!());
    RESOLVE = concat!("UPDATE alert_records SET status = 'resolved', resolved = TRUE, resolved_at = $2, resolve_reason = 'manual', \
        clear_since = NULL, updated_at = $2 WHERE id = $1 AND status <> 'resolved' RETURNING ", columns!());
    // Takes the lock of the rule's row, so that the rule stays as it is until the transaction ends.
    HOLD = "UPDATE alert_rules SET enabled = enabled WHERE rule_id = $1 AND updated_at = $2 AND enabled AND deleted_at IS NULL";
    PRUNE = "DELETE FROM alert_records WHERE id IN \
        (SELECT id FROM alert_records WHERE status = 'resolved' AND resolved_at < $1 LIMIT 10000)";
    PRUNE_RULES = "DELETE FROM alert_rules WHERE deleted_at IS NOT NULL \
        AND NOT EXISTS (SELECT 1 FROM alert_records AS r WHERE r.rule_id = alert_rules.rule_id)";
    STATES = "SELECT series, writer, version, state, updated_at FROM alert_states WHERE rule_id = $1";
    FORGET_STATES = "DELETE FROM alert_states WHERE rule_id = $1";
    FORGET_OLD_STATES = "DELETE FROM alert_states WHERE updated_at < $1";
}

statements! { SQLITE:
    PUT_SQLITE = concat!("INSERT INTO alert_records (", columns!(), ") SELECT \
        value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8, \
        value ->> 9, value ->> 10, value ->> 11, value -> 12, value ->> 13, value ->> 14, value ->> 15, value ->> 16, value ->> 17, \
        value ->> 18, value ->> 19, value -> 20, value ->> 21, value ->> 22 FROM json_each($1) WHERE TRUE", changed!());
    AS_EXPECTED_SQLITE = "SELECT count(*) AS n FROM json_each($1) AS e JOIN alert_records AS r ON r.id = e.value ->> 0 \
        AND r.updated_at = e.value ->> 1 AND r.status <> 'resolved'";
    DELETE_SQLITE = "DELETE FROM alert_records WHERE id IN (SELECT value FROM json_each($1))";
    DELETE_STATES_SQLITE = "DELETE FROM alert_states WHERE rule_id = $1 \
        AND (series, writer) IN (SELECT value ->> 0, value ->> 1 FROM json_each($2))";
    PUT_STATES_SQLITE = "INSERT INTO alert_states (rule_id, series, writer, version, state, updated_at) \
        SELECT $1, value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3), $3 FROM json_each($2) WHERE TRUE \
        ON CONFLICT (rule_id, series, writer) DO UPDATE SET version = excluded.version, state = excluded.state, updated_at = excluded.updated_at";
}

statements! { POSTGRES:
    PUT_POSTGRES = concat!("INSERT INTO alert_records (", columns!(), ") SELECT \
        r ->> 0, r ->> 1, r ->> 2, (r ->> 3)::bigint, r ->> 4, r ->> 5, r ->> 6, r ->> 7, r ->> 8, r ->> 9, r ->> 10, \
        (r ->> 11)::double precision, r -> 12, to_timestamp((r ->> 13)::bigint / 1000.0), to_timestamp((r ->> 14)::bigint / 1000.0), \
        (r ->> 15)::boolean, to_timestamp((r ->> 16)::bigint / 1000.0), r ->> 17, r ->> 18, \
        to_timestamp((r ->> 19)::bigint / 1000.0), r -> 20, to_timestamp((r ->> 21)::bigint / 1000.0), \
        to_timestamp((r ->> 22)::bigint / 1000.0) FROM jsonb_array_elements($1) AS r", changed!());
    AS_EXPECTED_POSTGRES = "SELECT count(*) AS n FROM (SELECT r.id FROM UNNEST($1::text[], $2::timestamptz[]) AS e (id, updated_at) \
        JOIN alert_records AS r ON r.id = e.id AND r.updated_at = e.updated_at AND r.status <> 'resolved' ORDER BY r.id FOR UPDATE OF r) AS held";
    DELETE_POSTGRES = "DELETE FROM alert_records WHERE id = ANY($1)";
    DELETE_STATES_POSTGRES = "DELETE FROM alert_states WHERE rule_id = $1 \
        AND (series, writer) IN (SELECT (r ->> 0)::bigint, r ->> 1 FROM jsonb_array_elements($2) AS r)";
    PUT_STATES_POSTGRES = "INSERT INTO alert_states (rule_id, series, writer, version, state, updated_at) \
        SELECT $1, (r ->> 0)::bigint, r ->> 1, (r ->> 2)::bigint, decode(r ->> 3, 'hex'), $3 FROM jsonb_array_elements($2) AS r \
        ON CONFLICT (rule_id, series, writer) DO UPDATE SET version = excluded.version, state = excluded.state, updated_at = excluded.updated_at";
}

/// Every alert that is not over.
pub(super) async fn open(on: &mut dyn AsConn) -> Result<Vec<Alert>> {
    on_db!(on, |c| sqlx::query_as(OPEN).fetch_all(c).await)
}

pub(super) async fn find(on: &mut dyn AsConn, id: &AlertId) -> Result<Option<Alert>> {
    on_db!(on, |c| sqlx::query_as(FIND).bind(id).fetch_optional(c).await)
}

/// What alerts are asked for; an absent one does not matter.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub status: Option<Status>,
    pub alert_level: Option<Severity>,
    pub resolved: Option<bool>,
    pub rule_id: Option<String>,
    pub service_id: Option<String>,
}

/// A page of alerts, newest first, before the id `before`.
pub(super) async fn page(on: &mut dyn AsConn, filter: &Filter, before: &str, limit: i64) -> Result<Vec<Alert>> {
    let Filter { status, alert_level, resolved, rule_id, service_id } = filter;
    let status = status.map_or("", Status::as_str);
    let level = alert_level.map_or("", Severity::as_str);
    let resolved = resolved.map_or("", |resolved| if resolved { "true" } else { "false" });
    on_db!(on, |c| {
        let (sql, sixth) = match (rule_id, service_id, status) {
            (Some(rule), _, _) => (PAGE_OF_RULE, Some(rule.as_str())),
            (None, Some(service), _) => (PAGE_OF_SERVICE, Some(service.as_str())),
            (None, None, "") => (PAGE, None),
            (None, None, status) => (PAGE_OF_STATUS, Some(status)),
        };
        let mut query = sqlx::query_as(sql).bind(before).bind(limit).bind(status).bind(level).bind(resolved);
        if let Some(sixth) = sixth {
            query = query.bind(sixth);
        }
        if rule_id.is_some() {
            query = query.bind(service_id.as_deref().unwrap_or(""));
        }
        query.fetch_all(c).await
    })
}

/// Somebody takes care of an open alert; `None` if there is none of that key.
pub(super) async fn acknowledge(tx: &mut Tx, id: &AlertId, who: &str, now: Timestamp) -> Result<Option<Alert>> {
    on_db!(tx, |c| sqlx::query_as(ACKNOWLEDGE).bind(id).bind(who).bind(now).fetch_optional(c).await)
}

/// Somebody says that an open alert is over; `None` if there is none of that key.
pub(super) async fn resolve(tx: &mut Tx, id: &AlertId, now: Timestamp) -> Result<Option<Alert>> {
    on_db!(tx, |c| sqlx::query_as(RESOLVE).bind(id).bind(now).fetch_optional(c).await)
}

/// Keeps a rule from being changed until the transaction ends; false if it has changed since `updated_at`.
pub(super) async fn hold_rule(tx: &mut Tx, id: &RuleId, updated_at: Timestamp) -> Result<bool> {
    on_db!(tx, |c| sqlx::query(HOLD).bind(id).bind(updated_at).execute(c).await.map(|done| done.rows_affected() > 0))
}

/// Whether these alerts are open and have not changed since; they cannot, until the transaction ends.
pub(super) async fn are_as_expected(tx: &mut Tx, alerts: &[(AlertId, Timestamp)]) -> Result<bool> {
    if alerts.is_empty() {
        return Ok(true);
    }
    let n: i64 = match tx.conn() {
        Conn::Sqlite(c) => {
            let rows: Vec<Value> = alerts.iter().map(|(id, at)| json!([id, at.millis()])).collect();
            sqlx::query_scalar(AS_EXPECTED_SQLITE).bind(Json(rows)).fetch_one(c).await?
        }
        Conn::Postgres(c) => {
            let (ids, times): (Vec<AlertId>, Vec<Timestamp>) = alerts.iter().cloned().unzip();
            sqlx::query_scalar(AS_EXPECTED_POSTGRES).bind(ids).bind(times).fetch_one(c).await?
        }
    };
    Ok(usize::try_from(n).is_ok_and(|n| n == alerts.len()))
}

fn row(alert: &Alert) -> Value {
    let Alert { id, rule_id, rule_name, series, service_id, service_name, service_type, metric_name, .. } = alert;
    let Alert { alert_level, status, message, value, labels, fired_at, clear_since, resolved, .. } = alert;
    let Alert { resolved_at, resolve_reason, acknowledged_by, acknowledged_at, plugin, created_at, updated_at, .. } =
        alert;
    let millis = |at: &Option<Timestamp>| at.map(Timestamp::millis);
    json!([
        id,
        rule_id,
        rule_name,
        series,
        service_id,
        service_name,
        service_type,
        metric_name,
        alert_level,
        status,
        message,
        value,
        labels,
        millis(fired_at),
        millis(clear_since),
        resolved,
        millis(resolved_at),
        resolve_reason,
        acknowledged_by,
        millis(acknowledged_at),
        plugin,
        created_at.millis(),
        updated_at.millis()
    ])
}

/// Makes or changes alerts.
pub(super) async fn put(tx: &mut Tx, alerts: &[Alert]) -> Result<()> {
    if alerts.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = alerts.iter().map(row).collect();
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query(PUT_SQLITE).bind(Json(rows)).execute(c).await.map(drop),
        Conn::Postgres(c) => sqlx::query(PUT_POSTGRES).bind(Json(rows)).execute(c).await.map(drop),
    }
}

/// Forgets alerts that never came to fire.
pub(super) async fn delete(tx: &mut Tx, ids: &[AlertId]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query(DELETE_SQLITE).bind(Json(ids)).execute(c).await.map(drop),
        Conn::Postgres(c) => sqlx::query(DELETE_POSTGRES).bind(ids).execute(c).await.map(drop),
    }
}

/// Forgets alerts that were over before `before`, and deleted rules that nothing refers to any more.
pub(super) async fn prune(tx: &mut Tx, before: Timestamp) -> Result<()> {
    on_db!(tx, |c| sqlx::query(PRUNE).bind(before).execute(c).await.map(drop))?;
    on_db!(tx, |c| sqlx::query(PRUNE_RULES).execute(c).await.map(drop))
}

/// What one version of an evaluator remembers of a series.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Remembered {
    pub series: SeriesId,
    /// Digest of that version.
    pub writer: String,
    pub version: i64,
    pub state: Vec<u8>,
    pub updated_at: Timestamp,
}

pub(super) async fn states(on: &mut dyn AsConn, rule: &RuleId) -> Result<Vec<Remembered>> {
    on_db!(on, |c| sqlx::query_as(STATES).bind(rule).fetch_all(c).await)
}

pub(super) async fn put_states(tx: &mut Tx, rule: &RuleId, states: &[Remembered], now: Timestamp) -> Result<()> {
    if states.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = states
        .iter()
        .map(|Remembered { series, writer, version, state, updated_at: _ }| {
            json!([series, writer, version, hex::encode(state)])
        })
        .collect();
    match tx.conn() {
        Conn::Sqlite(c) => {
            sqlx::query(PUT_STATES_SQLITE).bind(rule).bind(Json(rows)).bind(now).execute(c).await.map(drop)
        }
        Conn::Postgres(c) => {
            sqlx::query(PUT_STATES_POSTGRES).bind(rule).bind(Json(rows)).bind(now).execute(c).await.map(drop)
        }
    }
}

/// Forgets what these versions remember of these series.
pub(super) async fn delete_states(tx: &mut Tx, rule: &RuleId, states: &[(SeriesId, String)]) -> Result<()> {
    if states.is_empty() {
        return Ok(());
    }
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query(DELETE_STATES_SQLITE).bind(rule).bind(Json(states)).execute(c).await.map(drop),
        Conn::Postgres(c) => {
            sqlx::query(DELETE_STATES_POSTGRES).bind(rule).bind(Json(states)).execute(c).await.map(drop)
        }
    }
}

/// Forgets what the evaluator of a rule remembers.
pub(super) async fn forget_states(tx: &mut Tx, rule: &RuleId) -> Result<()> {
    on_db!(tx, |c| sqlx::query(FORGET_STATES).bind(rule).execute(c).await.map(drop))
}

/// Forgets what was not touched since `before`.
pub(super) async fn forget_old_states(tx: &mut Tx, before: Timestamp) -> Result<()> {
    on_db!(tx, |c| sqlx::query(FORGET_OLD_STATES).bind(before).execute(c).await.map(drop))
}
