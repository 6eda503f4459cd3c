//! SQL of users.

use super::types::User;
use crate::{
    clock::Timestamp,
    db::{AsConn, Result, Tx},
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
    PASSWORD_OF = concat!("SELECT ", columns!(), ", password_hash FROM cluster_users WHERE username = $1");
    INSERT = concat!("INSERT INTO cluster_users (", columns!(), ", password_hash) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    SET_LAST_LOGIN = "UPDATE cluster_users SET last_login = $2 WHERE user_id = $1";
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
    let User { user_id, username, email, role, permissions, status, last_login, created_at, updated_at } = user;
    on_db!(tx, |c| sqlx::query(INSERT)
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
        .map(drop))
}

pub(super) async fn set_last_login(tx: &mut Tx, id: &UserId, at: Timestamp) -> Result<()> {
    on_db!(tx, |c| sqlx::query(SET_LAST_LOGIN).bind(id).bind(at).execute(c).await.map(drop))
}
