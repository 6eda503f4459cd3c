//! SQL of secrets. A value is sealed before it comes here.

use super::types::{Secret, SecretName, Stored};
use crate::{
    db::{AsConn, Result, Tx},
    on_db, statements,
};

macro_rules! columns {
    () => {
        "secret_name, version, updated_by, created_at, updated_at"
    };
}

statements! { STATEMENTS:
    ALL = concat!("SELECT ", columns!(), ", sealed, key_id FROM secrets");
    PAGE = concat!("SELECT ", columns!(), " FROM secrets WHERE secret_name > $1 ORDER BY secret_name LIMIT $2");
    FIND = concat!("SELECT ", columns!(), ", sealed, key_id FROM secrets WHERE secret_name = $1");
    FOREIGN = "SELECT secret_name FROM secrets WHERE key_id <> $1 ORDER BY secret_name LIMIT 1";
    INSERT = concat!("INSERT INTO secrets (", columns!(), ", sealed, key_id) VALUES ($1, $2, $3, $4, $5, $6, $7)");
    /// Nothing when somebody else was faster.
    UPDATE = "UPDATE secrets SET version = $2, updated_by = $3, updated_at = $4, sealed = $5, key_id = $6 \
        WHERE secret_name = $1 AND version = $2 - 1";
    DELETE = concat!("DELETE FROM secrets WHERE secret_name = $1 RETURNING ", columns!());
}

pub(super) async fn all(on: &mut dyn AsConn) -> Result<Vec<Stored>> {
    on_db!(on, |c| sqlx::query_as(ALL).fetch_all(c).await)
}

/// Up to `limit` secrets after the name `after`, by name.
pub(super) async fn page(on: &mut dyn AsConn, after: &SecretName, limit: i64) -> Result<Vec<Secret>> {
    on_db!(on, |c| sqlx::query_as(PAGE).bind(after).bind(limit).fetch_all(c).await)
}

pub(super) async fn find(on: &mut dyn AsConn, name: &SecretName) -> Result<Option<Stored>> {
    on_db!(on, |c| sqlx::query_as(FIND).bind(name).fetch_optional(c).await)
}

/// A secret that is sealed under another key than this.
pub(super) async fn foreign(on: &mut dyn AsConn, key_id: &str) -> Result<Option<SecretName>> {
    on_db!(on, |c| sqlx::query_scalar(FOREIGN).bind(key_id).fetch_optional(c).await)
}

pub(super) async fn insert(tx: &mut Tx, stored: &Stored) -> Result<()> {
    let Stored { secret, sealed, key_id } = stored;
    let Secret { name, version, updated_by, created_at, updated_at } = secret;
    on_db!(tx, |c| sqlx::query(INSERT)
        .bind(name)
        .bind(version)
        .bind(updated_by)
        .bind(created_at)
        .bind(updated_at)
        .bind(sealed)
        .bind(key_id)
        .execute(c)
        .await
        .map(drop))
}

/// Puts a version in the place of the one before; false when that one is not there any more.
pub(super) async fn update(tx: &mut Tx, stored: &Stored) -> Result<bool> {
    let Stored { secret, sealed, key_id } = stored;
    let Secret { name, version, updated_by, created_at: _, updated_at } = secret;
    let done = on_db!(tx, |c| sqlx::query(UPDATE)
        .bind(name)
        .bind(version)
        .bind(updated_by)
        .bind(updated_at)
        .bind(sealed)
        .bind(key_id)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(done > 0)
}

pub(super) async fn delete(tx: &mut Tx, name: &SecretName) -> Result<Option<Secret>> {
    on_db!(tx, |c| sqlx::query_as(DELETE).bind(name).fetch_optional(c).await)
}
