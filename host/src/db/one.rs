//! One row by its key, to be read or to be changed.

use sqlx::{AssertSqlSafe, FromRow, postgres::PgRow, sqlite::SqliteRow};

use super::{AsConn, Conn, Result, Tx};
use crate::on_db;

/// What a row of either database becomes.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> Row for T {}

/// The row that a statement finds by its one parameter. A key that holds NUL is in no database.
pub async fn find<T: Row>(on: &mut dyn AsConn, sql: &'static str, key: &str) -> Result<Option<T>> {
    if key.contains('\0') {
        return Ok(None);
    }
    on_db!(on, |c| sqlx::query_as(sql).bind(key).fetch_optional(c).await)
}

/// As `find`, and nobody else changes the row before the transaction ends. On SQLite there is no other writer.
pub async fn lock<T: Row>(tx: &mut Tx, sql: &'static str, key: &str) -> Result<Option<T>> {
    match tx.conn() {
        Conn::Postgres(c) if !key.contains('\0') => {
            sqlx::query_as(AssertSqlSafe(format!("{sql} FOR UPDATE"))).bind(key).fetch_optional(c).await
        }
        _ => find(tx, sql, key).await,
    }
}
