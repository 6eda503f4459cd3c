//! SQL that the resources and their parts share. The texts are put together from constants alone; values are always bound.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;

use super::list::{Filter, Place};
pub use crate::db::Row;
use crate::{
    clock::Timestamp,
    db::{AsConn, Conn, Json, Result, Tx},
    http::page::SortKey,
    on_db,
};

/// A value that a list is sorted by or filtered with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Value {
    /// A text.
    #[serde(rename = "s")]
    Text(String),
    /// A time.
    #[serde(rename = "t")]
    Time(Timestamp),
}

/// What can stand in a list.
pub trait Listed: Row {
    /// `SELECT … FROM …`, without a condition.
    const SELECT: &'static str;
    /// The column that tells one row from another within a list.
    const KEY: &'static str;
    /// Fields that it can be sorted by; those that end in `_at` are times, others texts. None may be NULL.
    const SORTS: &'static [&'static str];

    /// The value of `KEY`.
    fn key(&self) -> &str;
    /// The value of one of `SORTS`.
    fn sort_value(&self, field: &str) -> Value;
}

/// The first `limit` rows after `place`, in order.
pub(in crate::talent) async fn list<T: Listed>(
    on: &mut dyn AsConn,
    filters: &[Filter],
    always: &'static str,
    keys: &[SortKey<'_>],
    place: Option<&Place>,
    limit: usize,
) -> Result<Vec<T>> {
    let mut sql = format!("{} WHERE {always}", T::SELECT);
    let mut values = Vec::new();
    for Filter { condition, value, .. } in filters {
        values.push(Value::Text(value.clone()));
        let _ = write!(sql, " AND {}", condition.replace("{}", &format!("${}", values.len())));
    }
    let last = keys.last().is_some_and(|key| key.descending);
    let columns: Vec<(&str, bool)> =
        keys.iter().map(|key| (key.field, key.descending)).chain([(T::KEY, last)]).collect();
    if let Some(Place(place)) = place {
        let _ = write!(sql, " AND {}", after(&columns, values.len()));
        values.extend(place.iter().cloned());
    }
    let order =
        columns.iter().map(|(column, descending)| format!("{column}{}", if *descending { " DESC" } else { "" }));
    let _ = write!(sql, " ORDER BY {} LIMIT ${}", order.collect::<Vec<_>>().join(", "), values.len() + 1);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    on_db!(on, |c| {
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for value in values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Time(time) => query.bind(time),
            };
        }
        query.bind(limit).fetch_all(c).await
    })
}

/// The condition that a row comes after a place whose values are bound from `$bound + 1` on. One direction makes one
/// comparison of rows, which an index answers; mixed directions are told column by column, with a range on the first.
fn after(columns: &[(&str, bool)], bound: usize) -> String {
    let sign = |descending: bool| if descending { '<' } else { '>' };
    let numbered = || columns.iter().enumerate().map(|(i, column)| (column, bound + 1 + i));
    let (first, descending) = columns[0];
    if columns.iter().all(|(_, other)| *other == descending) {
        let names: Vec<_> = columns.iter().map(|(column, _)| *column).collect();
        let values: Vec<_> = numbered().map(|(_, n)| format!("${n}")).collect();
        return format!("({}) {} ({})", names.join(", "), sign(descending), values.join(", "));
    }
    let mut rest = String::new();
    for ((column, descending), n) in numbered().rev() {
        let beyond = format!("{column} {} ${n}", sign(*descending));
        rest = if rest.is_empty() { beyond } else { format!("{beyond} OR ({column} = ${n} AND ({rest}))") };
    }
    format!("{first} {}= ${} AND ({rest})", sign(descending), bound + 1)
}

/// The row with this key, whether or not it is deleted.
pub(in crate::talent) async fn find<T: Listed>(on: &mut dyn AsConn, key: &str) -> Result<Option<T>> {
    let sql = format!("{} WHERE {} = $1", T::SELECT, T::KEY);
    on_db!(on, |c| sqlx::query_as(AssertSqlSafe(sql)).bind(key).fetch_optional(c).await)
}

/// As `find`, and nobody else changes the row before the transaction ends; what refers to it can still be written, so that
/// two that refer to each other do not wait in a circle. On SQLite there is no other writer.
pub(in crate::talent) async fn lock<T: Listed>(tx: &mut Tx, key: &str) -> Result<Option<T>> {
    let lock = if matches!(tx.conn(), Conn::Postgres(_)) { " FOR NO KEY UPDATE" } else { "" };
    let sql = format!("{} WHERE {} = $1{lock}", T::SELECT, T::KEY);
    on_db!(tx, |c| sqlx::query_as(AssertSqlSafe(sql)).bind(key).fetch_optional(c).await)
}

/// Which of `keys` are rows of `table` that are not deleted; they stay so until the transaction ends.
pub(in crate::talent) async fn present(
    tx: &mut Tx,
    table: &'static str,
    key: &'static str,
    keys: &[&str],
) -> Result<Vec<String>> {
    let live = "is_deleted = FALSE";
    match tx.conn() {
        Conn::Sqlite(c) => {
            let sql = format!("SELECT {key} FROM {table} WHERE {key} IN (SELECT value FROM json_each($1)) AND {live}");
            sqlx::query_scalar(AssertSqlSafe(sql)).bind(Json(keys)).fetch_all(c).await
        }
        Conn::Postgres(c) => {
            let sql = format!("SELECT {key} FROM {table} WHERE {key} = ANY($1) AND {live} ORDER BY {key} FOR SHARE");
            sqlx::query_scalar(AssertSqlSafe(sql)).bind(keys).fetch_all(c).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_direction_is_one_comparison() {
        assert_eq!(after(&[("a", false), ("id", false)], 2), "(a, id) > ($3, $4)");
        assert_eq!(after(&[("a", true), ("id", true)], 0), "(a, id) < ($1, $2)");
    }

    #[test]
    fn mixed_directions_go_column_by_column() {
        let mixed = after(&[("a", false), ("b", true), ("id", true)], 0);
        assert_eq!(mixed, "a >= $1 AND (a > $1 OR (a = $1 AND (b < $2 OR (b = $2 AND (id < $3)))))");
    }
}
