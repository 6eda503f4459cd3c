//! SQL of discovery sources.

use super::types::{Outcome, Source, SourceId};
use crate::{
    clock::Timestamp,
    db::{self, AsConn, Json, Result, Tx},
    on_db, statements,
};

macro_rules! columns {
    () => {
        "source_id, name, strategy, config, interval_seconds, enabled, max_removed_share, last_run_at, last_outcome, \
         created_at, updated_at"
    };
}

statements! { STATEMENTS:
    ALL = concat!("SELECT ", columns!(), " FROM discovery_sources ORDER BY name");
    FIND = concat!("SELECT ", columns!(), " FROM discovery_sources WHERE source_id = $1 OR name = $1 \
        ORDER BY source_id = $1 DESC LIMIT 1");
    INSERT = concat!("INSERT INTO discovery_sources (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)");
    UPDATE = "UPDATE discovery_sources SET name = $2, strategy = $3, config = $4, interval_seconds = $5, enabled = $6, \
        max_removed_share = $7, updated_at = $8 WHERE source_id = $1";
    SET_OUTCOME = concat!("UPDATE discovery_sources SET last_run_at = $2, last_outcome = $3 WHERE source_id = $1 \
        RETURNING ", columns!());
    DELETE = "DELETE FROM discovery_sources WHERE source_id = $1";
}

pub(super) async fn all(on: &mut dyn AsConn) -> Result<Vec<Source>> {
    on_db!(on, |c| sqlx::query_as(ALL).fetch_all(c).await)
}

/// By id or by name.
pub(super) async fn find(on: &mut dyn AsConn, id_or_name: &str) -> Result<Option<Source>> {
    db::find(on, FIND, id_or_name).await
}

/// As `find`, and nobody else changes it before the transaction ends.
pub(super) async fn lock(tx: &mut Tx, id_or_name: &str) -> Result<Option<Source>> {
    db::lock(tx, FIND, id_or_name).await
}

pub(super) async fn insert(tx: &mut Tx, source: &Source) -> Result<()> {
    let Source {
        source_id,
        name,
        strategy,
        config,
        interval_seconds,
        enabled,
        max_removed_share,
        last_run_at,
        last_outcome,
        created_at,
        updated_at,
    } = source;
    on_db!(tx, |c| sqlx::query(INSERT)
        .bind(source_id)
        .bind(name)
        .bind(strategy)
        .bind(config)
        .bind(interval_seconds)
        .bind(enabled)
        .bind(max_removed_share)
        .bind(last_run_at)
        .bind(last_outcome)
        .bind(created_at)
        .bind(updated_at)
        .execute(c)
        .await
        .map(drop))
}

/// Stores what a caller may change.
pub(super) async fn update(tx: &mut Tx, source: &Source) -> Result<()> {
    on_db!(tx, |c| sqlx::query(UPDATE)
        .bind(&source.source_id)
        .bind(&source.name)
        .bind(&source.strategy)
        .bind(&source.config)
        .bind(source.interval_seconds)
        .bind(source.enabled)
        .bind(source.max_removed_share)
        .bind(source.updated_at)
        .execute(c)
        .await
        .map(drop))
}

/// Stores what came of a run; `None` if the source is gone.
pub(super) async fn set_outcome(
    tx: &mut Tx,
    id: &SourceId,
    at: Timestamp,
    outcome: &Outcome,
) -> Result<Option<Source>> {
    on_db!(tx, |c| sqlx::query_as(SET_OUTCOME).bind(id).bind(at).bind(Json(outcome)).fetch_optional(c).await)
}

pub(super) async fn delete(tx: &mut Tx, id: &SourceId) -> Result<()> {
    on_db!(tx, |c| sqlx::query(DELETE).bind(id).execute(c).await.map(drop))
}
