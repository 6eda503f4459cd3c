//! SQL of users.

use super::types::{User, UserStatus};
use crate::{
    clock::Timestamp,
    db::{AsConn, Conn, Result, Tx},
    http::auth::Role,
    ids::UserId,
    on_db, statements,
};

macro_rules! columns {
    () => {
        "user_id, username, email, role, permissions, status, last_login, created_at, updated_at"
    };
}

statements! { STATEMENTS:
    ANY = "SELECT count(*) AS n FROM cluster_users";
    ALL = concat!("SELECT ", columns!(), " FROM cluster_users");
    FILTERED = concat!("SELECT ", columns!(), " FROM cluster_users WHERE (CAST($1 AS TEXT) IS NULL OR role = $1) \
        AND (CAST($2 AS TEXT) IS NULL OR status = $2) AND (CAST($3 AS TEXT) IS NULL OR username = $3)");
    FIND = concat!("SELECT ", columns!(), " FROM cluster_users WHERE user_id = $1");
    HASH_OF = "SELECT password_hash FROM cluster_users WHERE user_id = $1";
    PASSWORD_OF = concat!("SELECT ", columns!(), ", password_hash FROM cluster_users WHERE username = $1");
    INSERT = concat!("INSERT INTO cluster_users (", columns!(), ", password_hash) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    INSERT_IF_NEW = concat!("INSERT INTO cluster_users (", columns!(), ", password_hash) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (username) DO NOTHING");
    UPDATE = "UPDATE cluster_users SET email = $2, role = $3, permissions = $4, status = $5, updated_at = $6 \
        WHERE user_id = $1";
    SET_PASSWORD = "UPDATE cluster_users SET password_hash = $2, updated_at = $3 WHERE user_id = $1";
    SET_LAST_LOGIN = "UPDATE cluster_users SET last_login = $2 \
        WHERE user_id = $1 AND status = 'active' AND password_hash = $3";
    DELETE = "DELETE FROM cluster_users WHERE user_id = $1";
}

statements! { SQLITE:
    LOCK_SQLITE = concat!("SELECT ", columns!(), " FROM cluster_users \
        WHERE user_id = $1 OR (role = 'admin' AND status = 'active') ORDER BY user_id");
}

statements! { POSTGRES:
    LOCK_POSTGRES = concat!("SELECT ", columns!(), " FROM cluster_users \
        WHERE user_id = $1 OR (role = 'admin' AND status = 'active') ORDER BY user_id FOR UPDATE");
}

/// A user that is locked until the transaction ends.
pub(super) struct Locked {
    pub user: User,
    /// How many active administrators there are beside it; they are locked too.
    pub other_admins: usize,
}

#[derive(sqlx::FromRow)]
struct WithPassword {
    #[sqlx(flatten)]
    user: User,
    password_hash: String,
}

pub(super) async fn any(on: &mut dyn AsConn) -> Result<bool> {
    let n: i64 = on_db!(on, |c| sqlx::query_scalar(ANY).fetch_one(c).await)?;
    Ok(n > 0)
}

pub(super) async fn all(on: &mut dyn AsConn) -> Result<Vec<User>> {
    on_db!(on, |c| sqlx::query_as(ALL).fetch_all(c).await)
}

/// A user and the hash of its password, by the name that signs in.
pub(super) async fn password_of(on: &mut dyn AsConn, username: &str) -> Result<Option<(User, String)>> {
    let row: Option<WithPassword> = on_db!(on, |c| sqlx::query_as(PASSWORD_OF).bind(username).fetch_optional(c).await)?;
    Ok(row.map(|WithPassword { user, password_hash }| (user, password_hash)))
}

pub(super) async fn insert(tx: &mut Tx, user: &User, password_hash: &str) -> Result<()> {
    insert_with(tx, INSERT, user, password_hash).await.map(drop)
}

/// Adds a user unless there is one of that name; false if there is.
pub(super) async fn insert_if_new(tx: &mut Tx, user: &User, password_hash: &str) -> Result<bool> {
    Ok(insert_with(tx, INSERT_IF_NEW, user, password_hash).await? > 0)
}

async fn insert_with(tx: &mut Tx, insert: &'static str, user: &User, password_hash: &str) -> Result<u64> {
    let User { user_id, username, email, role, permissions, status, last_login, created_at, updated_at } = user;
    on_db!(tx, |c| sqlx::query(insert)
        .bind(user_id)
        .bind(username)
        .bind(email)
        .bind(role)
        .bind(permissions)
        .bind(status)
        .bind(last_login)
        .bind(created_at)
        .bind(updated_at)
        .bind(password_hash)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))
}

/// Users that fit every filter, in no order.
pub(super) async fn filtered(
    on: &mut dyn AsConn,
    role: Option<Role>,
    status: Option<UserStatus>,
    username: Option<&str>,
) -> Result<Vec<User>> {
    on_db!(on, |c| sqlx::query_as(FILTERED).bind(role).bind(status).bind(username).fetch_all(c).await)
}

pub(super) async fn find(on: &mut dyn AsConn, id: &UserId) -> Result<Option<User>> {
    on_db!(on, |c| sqlx::query_as(FIND).bind(id).fetch_optional(c).await)
}

pub(super) async fn hash_of(on: &mut dyn AsConn, id: &UserId) -> Result<Option<String>> {
    on_db!(on, |c| sqlx::query_scalar(HASH_OF).bind(id).fetch_optional(c).await)
}

/// Reads a user to change it, so that nobody else changes it, or any active administrator, before the transaction ends.
pub(super) async fn lock(tx: &mut Tx, id: &UserId) -> Result<Option<Locked>> {
    let mut users: Vec<User> = match tx.conn() {
        Conn::Sqlite(c) => sqlx::query_as(LOCK_SQLITE).bind(id).fetch_all(c).await?,
        Conn::Postgres(c) => sqlx::query_as(LOCK_POSTGRES).bind(id).fetch_all(c).await?,
    };
    let Some(at) = users.iter().position(|user| user.user_id == *id) else { return Ok(None) };
    let user = users.swap_remove(at);
    Ok(Some(Locked { user, other_admins: users.len() }))
}

/// Writes what can change of a user, apart from its password.
pub(super) async fn update(tx: &mut Tx, user: &User) -> Result<()> {
    let User { user_id, username: _, email, role, permissions, status, last_login: _, created_at: _, updated_at } =
        user;
    on_db!(tx, |c| sqlx::query(UPDATE)
        .bind(user_id)
        .bind(email)
        .bind(role)
        .bind(permissions)
        .bind(status)
        .bind(updated_at)
        .execute(c)
        .await
        .map(drop))
}

pub(super) async fn set_password(tx: &mut Tx, id: &UserId, hash: &str, now: Timestamp) -> Result<()> {
    on_db!(tx, |c| sqlx::query(SET_PASSWORD).bind(id).bind(hash).bind(now).execute(c).await.map(drop))
}

/// Deletes a user, and with it its sessions and tokens.
pub(super) async fn delete(tx: &mut Tx, id: &UserId) -> Result<()> {
    on_db!(tx, |c| sqlx::query(DELETE).bind(id).execute(c).await.map(drop))
}

/// Dates a sign-in; false if the user may not sign in any more, or has another password by now.
pub(super) async fn set_last_login(tx: &mut Tx, id: &UserId, at: Timestamp, hash: &str) -> Result<bool> {
    let done = on_db!(tx, |c| sqlx::query(SET_LAST_LOGIN)
        .bind(id)
        .bind(at)
        .bind(hash)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(done > 0)
}
