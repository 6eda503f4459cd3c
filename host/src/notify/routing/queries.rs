//! SQL of routes.

use super::types::{Route, RouteId, RouteSpec};
use crate::{
    db::{self, AsConn, Conn, Json, Result, Tx},
    on_db, statements,
};

macro_rules! columns {
    () => {
        "route_id, name, matchers, channels, group_by, group_wait_seconds, group_interval_seconds, \
         repeat_interval_seconds, continues, position, created_at, updated_at"
    };
}

statements! { STATEMENTS:
    ALL = concat!("SELECT ", columns!(), " FROM routes");
    FIND = concat!("SELECT ", columns!(), " FROM routes WHERE route_id = $1 OR name = $1 ORDER BY route_id = $1 DESC LIMIT 1");
    INSERT = concat!("INSERT INTO routes (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
        ON CONFLICT (route_id) DO UPDATE SET name = excluded.name, matchers = excluded.matchers, \
        channels = excluded.channels, group_by = excluded.group_by, group_wait_seconds = excluded.group_wait_seconds, \
        group_interval_seconds = excluded.group_interval_seconds, repeat_interval_seconds = excluded.repeat_interval_seconds, \
        continues = excluded.continues, position = excluded.position, updated_at = excluded.updated_at");
    DELETE = "DELETE FROM routes WHERE route_id = $1";
}

statements! { SQLITE:
    HOLD_SQLITE = "SELECT route_id FROM routes WHERE route_id IN (SELECT value FROM json_each($1))";
}

statements! { POSTGRES:
    HOLD_POSTGRES = "SELECT route_id FROM routes WHERE route_id = ANY($1) ORDER BY route_id FOR KEY SHARE";
    HOLD_GROUPS_POSTGRES = "SELECT group_id FROM notification_groups WHERE route_id = $1 ORDER BY group_id FOR UPDATE";
}

pub(crate) async fn all(on: &mut dyn AsConn) -> Result<Vec<Route>> {
    on_db!(on, |c| sqlx::query_as(ALL).fetch_all(c).await)
}

/// By id or by name; nobody else changes it before the transaction ends.
pub(super) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<Route>> {
    db::lock(tx, FIND, id).await
}

/// Which of these are there; they are not deleted before the transaction ends.
pub(crate) async fn hold(tx: &mut Tx, ids: &[&RouteId]) -> Result<Vec<RouteId>> {
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query_scalar(HOLD_SQLITE).bind(Json(ids)).fetch_all(c).await,
        Conn::Postgres(c) => sqlx::query_scalar(HOLD_POSTGRES).bind(ids).fetch_all(c).await,
    }
}

/// Makes or replaces one.
pub(super) async fn put(tx: &mut Tx, route: &Route) -> Result<()> {
    let Route { route_id, spec, created_at, updated_at } = route;
    let RouteSpec { name, matchers, channels, group_by, .. } = spec;
    let RouteSpec { group_wait_seconds, group_interval_seconds, repeat_interval_seconds, continues, position, .. } =
        spec;
    on_db!(tx, |c| sqlx::query(INSERT)
        .bind(route_id)
        .bind(name)
        .bind(matchers)
        .bind(channels)
        .bind(group_by)
        .bind(group_wait_seconds)
        .bind(group_interval_seconds)
        .bind(repeat_interval_seconds)
        .bind(continues)
        .bind(position)
        .bind(created_at)
        .bind(updated_at)
        .execute(c)
        .await
        .map(drop))
}

/// Deletes one, and its groups with it.
pub(super) async fn delete(tx: &mut Tx, id: &RouteId) -> Result<()> {
    if let Conn::Postgres(c) = tx.conn() {
        // The database would lock them in an order of its own.
        sqlx::query(HOLD_GROUPS_POSTGRES).bind(id).execute(c).await?;
    }
    on_db!(tx, |c| sqlx::query(DELETE).bind(id).execute(c).await.map(drop))
}
