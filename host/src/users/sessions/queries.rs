//! SQL of sessions.

use super::types::Session;
use crate::{
    clock::Timestamp,
    db::{AsConn, Result, Tx},
    ids::{SessionId, UserId},
    on_db, statements,
};

macro_rules! columns {
    () => {
        "session_id, user_id, source, generation, expires_at, created_at, updated_at"
    };
}

statements! { STATEMENTS:
    ALL = concat!("SELECT ", columns!(), " FROM user_sessions");
    FIND = concat!("SELECT ", columns!(), " FROM user_sessions WHERE session_id = $1");
    OF_USER = concat!("SELECT ", columns!(), " FROM user_sessions WHERE user_id = $1 ORDER BY created_at, session_id");
    INSERT = concat!("INSERT INTO user_sessions (", columns!(), ", session_token) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    ROTATE = concat!("UPDATE user_sessions SET generation = generation + 1, session_token = $3, expires_at = $4, updated_at = $5 \
        WHERE session_id = $1 AND generation = $2 RETURNING ", columns!());
    DELETE = concat!("DELETE FROM user_sessions WHERE session_id = $1 RETURNING ", columns!());
    DELETE_OF_USER = "DELETE FROM user_sessions WHERE user_id = $1 AND session_id <> $2 RETURNING session_id";
    DELETE_EXPIRED = concat!("DELETE FROM user_sessions WHERE expires_at <= $1 RETURNING ", columns!());
}

pub(super) async fn all(on: &mut dyn AsConn) -> Result<Vec<Session>> {
    on_db!(on, |c| sqlx::query_as(ALL).fetch_all(c).await)
}

pub(super) async fn find(on: &mut dyn AsConn, id: &SessionId) -> Result<Option<Session>> {
    on_db!(on, |c| sqlx::query_as(FIND).bind(id).fetch_optional(c).await)
}

pub(super) async fn of_user(on: &mut dyn AsConn, id: &UserId) -> Result<Vec<Session>> {
    on_db!(on, |c| sqlx::query_as(OF_USER).bind(id).fetch_all(c).await)
}

pub(super) async fn insert(tx: &mut Tx, session: &Session, fingerprint: &str) -> Result<()> {
    let Session { session_id, user_id, source, generation, expires_at, created_at, updated_at } = session;
    on_db!(tx, |c| sqlx::query(INSERT)
        .bind(session_id)
        .bind(user_id)
        .bind(source)
        .bind(generation)
        .bind(expires_at)
        .bind(created_at)
        .bind(updated_at)
        .bind(fingerprint)
        .execute(c)
        .await
        .map(drop))
}

/// Puts the next refresh token in the place of the one of `generation`; `None` if that is no longer the one in use.
pub(super) async fn rotate(
    tx: &mut Tx,
    id: &SessionId,
    generation: i64,
    fingerprint: &str,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<Option<Session>> {
    on_db!(tx, |c| sqlx::query_as(ROTATE)
        .bind(id)
        .bind(generation)
        .bind(fingerprint)
        .bind(expires_at)
        .bind(now)
        .fetch_optional(c)
        .await)
}

pub(super) async fn delete(tx: &mut Tx, id: &SessionId) -> Result<Option<Session>> {
    on_db!(tx, |c| sqlx::query_as(DELETE).bind(id).fetch_optional(c).await)
}

/// Deletes the sessions of a user, all but `kept`, and gives the keys of those that were there.
pub(super) async fn delete_of_user(tx: &mut Tx, id: &UserId, kept: &str) -> Result<Vec<SessionId>> {
    on_db!(tx, |c| sqlx::query_scalar(DELETE_OF_USER).bind(id).bind(kept).fetch_all(c).await)
}

pub(super) async fn delete_expired(tx: &mut Tx, now: Timestamp) -> Result<Vec<Session>> {
    on_db!(tx, |c| sqlx::query_as(DELETE_EXPIRED).bind(now).fetch_all(c).await)
}
