//! SQL of idempotency keys.

use std::collections::BTreeMap;

use crate::{
    clock::Timestamp,
    db::{AsConn, Json, Result, Tx},
    on_db, statements,
};

statements! { STATEMENTS:
    CLAIM = "INSERT INTO idempotency_keys (key_hash, body_hash, created_at) VALUES ($1, $2, $3) \
        ON CONFLICT (key_hash) DO UPDATE SET body_hash = excluded.body_hash, created_at = excluded.created_at, \
        status = NULL, headers = NULL, body = NULL WHERE idempotency_keys.created_at <= $4 \
        OR (idempotency_keys.status IS NULL AND idempotency_keys.body_hash = excluded.body_hash \
        AND idempotency_keys.created_at <= $5) RETURNING key_hash";
    FIND = "SELECT body_hash, status, headers, body FROM idempotency_keys WHERE key_hash = $1";
    FINISH = "UPDATE idempotency_keys SET status = $3, headers = $4, body = $5 \
        WHERE key_hash = $1 AND created_at = $2 AND status IS NULL";
    RENEW = "UPDATE idempotency_keys SET created_at = $3 WHERE key_hash = $1 AND created_at = $2 AND status IS NULL";
    RELEASE = "DELETE FROM idempotency_keys WHERE key_hash = $1 AND created_at = $2 AND status IS NULL";
    PRUNE = "DELETE FROM idempotency_keys WHERE created_at <= $1";
}

/// A request that runs under a key.
pub(super) struct Claim {
    /// Who asks, for which path, with which key.
    pub key_hash: String,
    /// What they ask.
    pub body_hash: String,
    /// When it began, or was last known to run.
    pub at: Timestamp,
}

/// An answer, as it is kept.
pub(super) struct Answer {
    pub status: i64,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What is stored under a key.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    pub body_hash: String,
    /// Absent while the request runs.
    pub status: Option<i64>,
    pub headers: Option<Json<BTreeMap<String, String>>>,
    pub body: Option<Vec<u8>>,
}

impl Row {
    /// A request that runs.
    pub fn running(body_hash: String) -> Self {
        Self { body_hash, status: None, headers: None, body: None }
    }
}

/// Takes a key that is free, older than `kept`, or left by the same request that began before `running`.
pub(super) async fn claim(tx: &mut Tx, claim: &Claim, kept: Timestamp, running: Timestamp) -> Result<bool> {
    let Claim { key_hash, body_hash, at } = claim;
    let taken: Option<String> = on_db!(tx, |c| sqlx::query_scalar(CLAIM)
        .bind(key_hash)
        .bind(body_hash)
        .bind(at)
        .bind(kept)
        .bind(running)
        .fetch_optional(c)
        .await)?;
    Ok(taken.is_some())
}

pub(super) async fn find(on: &mut dyn AsConn, key_hash: &str) -> Result<Option<Row>> {
    on_db!(on, |c| sqlx::query_as(FIND).bind(key_hash).fetch_optional(c).await)
}

/// Keeps the answer, if the key is still that of this request.
pub(super) async fn finish(tx: &mut Tx, claim: &Claim, answer: &Answer) -> Result<()> {
    let Answer { status, headers, body } = answer;
    on_db!(tx, |c| sqlx::query(FINISH)
        .bind(&claim.key_hash)
        .bind(claim.at)
        .bind(status)
        .bind(Json(headers))
        .bind(body)
        .execute(c)
        .await
        .map(drop))
}

/// Says that the request still runs; false if the key is no longer its own.
pub(super) async fn renew(tx: &mut Tx, claim: &Claim, at: Timestamp) -> Result<bool> {
    let Claim { key_hash, body_hash: _, at: before } = claim;
    let renew = on_db!(tx, |c| sqlx::query(RENEW)
        .bind(key_hash)
        .bind(before)
        .bind(at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(renew > 0)
}

/// Gives the key back, if it is still that of this request.
pub(super) async fn release(tx: &mut Tx, claim: &Claim) -> Result<()> {
    on_db!(tx, |c| sqlx::query(RELEASE).bind(&claim.key_hash).bind(claim.at).execute(c).await.map(drop))
}

pub(super) async fn prune(tx: &mut Tx, until: Timestamp) -> Result<()> {
    on_db!(tx, |c| sqlx::query(PRUNE).bind(until).execute(c).await.map(drop))
}
