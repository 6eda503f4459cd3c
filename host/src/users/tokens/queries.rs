//! SQL of API tokens.

use super::types::{ApiToken, Stored};
use crate::{
    clock::Timestamp,
    db::{AsConn, Result, Tx},
    ids::{TokenId, UserId},
    on_db, statements,
};

macro_rules! columns {
    () => {
        "token_id, name, user_id, scopes, service_id, service_name, expires_at, created_at"
    };
}

statements! { STATEMENTS:
    ALL = concat!("SELECT ", columns!(), ", token_hash FROM api_tokens");
    PAGE = concat!("SELECT ", columns!(), " FROM api_tokens WHERE token_id > $1 ORDER BY token_id LIMIT $2");
    PAGE_OF_USER = concat!("SELECT ", columns!(), " FROM api_tokens WHERE token_id > $1 AND user_id = $3 \
        ORDER BY token_id LIMIT $2");
    FIND = concat!("SELECT ", columns!(), " FROM api_tokens WHERE token_id = $1");
    INSERT = concat!("INSERT INTO api_tokens (", columns!(), ", token_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    DELETE = concat!("DELETE FROM api_tokens WHERE token_id = $1 RETURNING ", columns!());
    DELETE_EXPIRED = "DELETE FROM api_tokens WHERE expires_at <= $1 RETURNING token_id";
}

pub(super) async fn all(on: &mut dyn AsConn) -> Result<Vec<Stored>> {
    on_db!(on, |c| sqlx::query_as(ALL).fetch_all(c).await)
}

/// Up to `limit` tokens after the key `after`, of one user or of everybody, in the order of their keys.
pub(super) async fn page(
    on: &mut dyn AsConn,
    user: Option<&UserId>,
    after: &TokenId,
    limit: i64,
) -> Result<Vec<ApiToken>> {
    match user {
        Some(user) => {
            on_db!(on, |c| sqlx::query_as(PAGE_OF_USER).bind(after).bind(limit).bind(user).fetch_all(c).await)
        }
        None => on_db!(on, |c| sqlx::query_as(PAGE).bind(after).bind(limit).fetch_all(c).await),
    }
}

pub(super) async fn find(on: &mut dyn AsConn, id: &TokenId) -> Result<Option<ApiToken>> {
    on_db!(on, |c| sqlx::query_as(FIND).bind(id).fetch_optional(c).await)
}

pub(super) async fn insert(tx: &mut Tx, stored: &Stored) -> Result<()> {
    let Stored { token, token_hash } = stored;
    let ApiToken { token_id, name, user_id, scopes, service_id, service_name, expires_at, created_at } = token;
    on_db!(tx, |c| sqlx::query(INSERT)
        .bind(token_id)
        .bind(name)
        .bind(user_id)
        .bind(scopes)
        .bind(service_id)
        .bind(service_name)
        .bind(expires_at)
        .bind(created_at)
        .bind(token_hash)
        .execute(c)
        .await
        .map(drop))
}

pub(super) async fn delete(tx: &mut Tx, id: &TokenId) -> Result<Option<ApiToken>> {
    on_db!(tx, |c| sqlx::query_as(DELETE).bind(id).fetch_optional(c).await)
}

pub(super) async fn delete_expired(tx: &mut Tx, now: Timestamp) -> Result<Vec<TokenId>> {
    on_db!(tx, |c| sqlx::query_scalar(DELETE_EXPIRED).bind(now).fetch_all(c).await)
}
