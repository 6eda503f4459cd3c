//! SQL of versions on their way: policies, where a version stands, what was seen of it, and the history.

use super::{
    report::Report,
    types::{Action, Candidate, Entry, Policy, Stage, VersionRef},
};
use crate::{
    clock::Timestamp,
    db::{AsConn, Json, Result, Tx},
    ids::ReplicaId,
    on_db,
    plugins::types::PluginName,
    statements,
};

statements! { STATEMENTS:
    POLICIES = "SELECT plugin_name, policy FROM plugin_rollouts ORDER BY plugin_name";
    POLICY = "SELECT policy FROM plugin_rollouts WHERE plugin_name = $1";
    PUT_POLICY = "INSERT INTO plugin_rollouts (plugin_name, policy, updated_at) VALUES ($1, $2, $3) \
        ON CONFLICT (plugin_name) DO UPDATE SET policy = excluded.policy, updated_at = excluded.updated_at";
    DELETE_POLICY = "DELETE FROM plugin_rollouts WHERE plugin_name = $1";
    CANDIDATES = "SELECT plugin_name, candidate FROM plugin_candidates ORDER BY plugin_name";
    CANDIDATE = "SELECT candidate FROM plugin_candidates WHERE plugin_name = $1";
    PUT_CANDIDATE = "INSERT INTO plugin_candidates (plugin_name, digest, stage, candidate) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (plugin_name) DO UPDATE SET digest = excluded.digest, stage = excluded.stage, candidate = excluded.candidate";
    MOVE_CANDIDATE = "UPDATE plugin_candidates SET stage = $4, candidate = $5 \
        WHERE plugin_name = $1 AND digest = $2 AND stage = $3";
    DELETE_CANDIDATE = "DELETE FROM plugin_candidates WHERE plugin_name = $1";
    REPORTS = "SELECT report FROM plugin_comparisons WHERE plugin_name = $1 AND digest = $2 AND replica_id <> $3 ORDER BY replica_id";
    PUT_REPORT = "INSERT INTO plugin_comparisons (plugin_name, digest, replica_id, report, updated_at) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (plugin_name, digest, replica_id) DO UPDATE SET report = excluded.report, updated_at = excluded.updated_at";
    DELETE_REPORTS = "DELETE FROM plugin_comparisons WHERE plugin_name = $1";
    ADD_HISTORY = "INSERT INTO plugin_history (history_id, plugin_name, action, reason, actor, from_version, from_digest, \
        to_version, to_digest, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    HISTORY = "SELECT history_id, action, reason, actor, from_version, from_digest, to_version, to_digest, created_at \
        FROM plugin_history WHERE plugin_name = $1 AND history_id < $2 ORDER BY history_id DESC LIMIT $3";
    DELETE_HISTORY = "DELETE FROM plugin_history WHERE plugin_name = $1";
}

pub(super) async fn policies(on: &mut dyn AsConn) -> Result<Vec<(String, Json<Policy>)>> {
    on_db!(on, |c| sqlx::query_as(POLICIES).fetch_all(c).await)
}

pub(super) async fn policy(on: &mut dyn AsConn, name: &PluginName) -> Result<Option<Policy>> {
    let found: Option<Json<Policy>> =
        on_db!(on, |c| sqlx::query_scalar(POLICY).bind(name.as_str()).fetch_optional(c).await)?;
    Ok(found.map(|Json(policy)| policy))
}

pub(super) async fn put_policy(tx: &mut Tx, name: &PluginName, policy: &Policy, now: Timestamp) -> Result<()> {
    on_db!(tx, |c| sqlx::query(PUT_POLICY).bind(name.as_str()).bind(Json(policy)).bind(now).execute(c).await.map(drop))
}

pub(super) async fn delete_policy(tx: &mut Tx, name: &PluginName) -> Result<()> {
    on_db!(tx, |c| sqlx::query(DELETE_POLICY).bind(name.as_str()).execute(c).await.map(drop))
}

pub(super) async fn candidates(on: &mut dyn AsConn) -> Result<Vec<(String, Json<Candidate>)>> {
    on_db!(on, |c| sqlx::query_as(CANDIDATES).fetch_all(c).await)
}

pub(super) async fn candidate(on: &mut dyn AsConn, name: &PluginName) -> Result<Option<Candidate>> {
    let found: Option<Json<Candidate>> =
        on_db!(on, |c| sqlx::query_scalar(CANDIDATE).bind(name.as_str()).fetch_optional(c).await)?;
    Ok(found.map(|Json(candidate)| candidate))
}

/// Puts a version in the place of the one before; what was seen of that goes.
pub(super) async fn put_candidate(tx: &mut Tx, name: &PluginName, candidate: &Candidate) -> Result<()> {
    let before = self::candidate(tx, name).await?;
    if before.is_some_and(|before| before.digest() != candidate.digest()) {
        delete(tx, name, DELETE_REPORTS).await?;
    }
    on_db!(tx, |c| sqlx::query(PUT_CANDIDATE)
        .bind(name.as_str())
        .bind(candidate.digest())
        .bind(candidate.stage)
        .bind(Json(candidate))
        .execute(c)
        .await
        .map(drop))
}

/// Moves a version on from `stage`; false if it is not there any more.
pub(super) async fn move_candidate(tx: &mut Tx, name: &PluginName, from: Stage, to: &Candidate) -> Result<bool> {
    let moved = on_db!(tx, |c| sqlx::query(MOVE_CANDIDATE)
        .bind(name.as_str())
        .bind(to.digest())
        .bind(from)
        .bind(to.stage)
        .bind(Json(to))
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(moved > 0)
}

/// What other replicas have seen of a version.
pub(super) async fn reports(
    on: &mut dyn AsConn,
    name: &PluginName,
    digest: &str,
    beside: &ReplicaId,
) -> Result<Vec<Report>> {
    let found: Vec<Json<Report>> =
        on_db!(on, |c| sqlx::query_scalar(REPORTS).bind(name.as_str()).bind(digest).bind(beside).fetch_all(c).await)?;
    Ok(found.into_iter().map(|Json(report)| report).collect())
}

/// Where a report belongs.
pub(super) struct Place<'a> {
    pub(super) name: &'a PluginName,
    pub(super) digest: &'a str,
    pub(super) replica: &'a ReplicaId,
}

pub(super) async fn put_report(tx: &mut Tx, place: &Place<'_>, report: &Report, now: Timestamp) -> Result<()> {
    let Place { name, digest, replica } = place;
    on_db!(tx, |c| sqlx::query(PUT_REPORT)
        .bind(name.as_str())
        .bind(*digest)
        .bind(*replica)
        .bind(Json(report))
        .bind(now)
        .execute(c)
        .await
        .map(drop))
}

/// What is to be written into the history of a plugin.
pub(in crate::plugins) struct NewEntry<'a> {
    pub(in crate::plugins) id: String,
    pub(in crate::plugins) name: &'a PluginName,
    pub(in crate::plugins) action: Action,
    pub(in crate::plugins) reason: Option<&'a str>,
    pub(in crate::plugins) actor: &'a str,
    pub(in crate::plugins) from: Option<&'a VersionRef>,
    pub(in crate::plugins) to: Option<&'a VersionRef>,
    pub(in crate::plugins) at: Timestamp,
}

pub(super) async fn add_history(tx: &mut Tx, entry: &NewEntry<'_>) -> Result<()> {
    let NewEntry { id, name, action, reason, actor, from, to, at } = entry;
    on_db!(tx, |c| sqlx::query(ADD_HISTORY)
        .bind(id)
        .bind(name.as_str())
        .bind(action)
        .bind(*reason)
        .bind(*actor)
        .bind(from.and_then(|from| from.version.as_deref()))
        .bind(from.map(|from| from.digest.as_str()))
        .bind(to.and_then(|to| to.version.as_deref()))
        .bind(to.map(|to| to.digest.as_str()))
        .bind(at)
        .execute(c)
        .await
        .map(drop))
}

/// Newest first, before the entry `before`.
pub(super) async fn history(on: &mut dyn AsConn, name: &PluginName, before: &str, limit: i64) -> Result<Vec<Entry>> {
    on_db!(on, |c| sqlx::query_as(HISTORY).bind(name.as_str()).bind(before).bind(limit).fetch_all(c).await)
}

/// Forgets everything that is kept of a plugin here.
pub(super) async fn forget(tx: &mut Tx, name: &PluginName) -> Result<()> {
    for statement in [DELETE_POLICY, DELETE_CANDIDATE, DELETE_REPORTS, DELETE_HISTORY] {
        delete(tx, name, statement).await?;
    }
    Ok(())
}

async fn delete(tx: &mut Tx, name: &PluginName, statement: &'static str) -> Result<()> {
    on_db!(tx, |c| sqlx::query(statement).bind(name.as_str()).execute(c).await.map(drop))
}
