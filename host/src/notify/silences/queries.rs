//! SQL of silences.

use super::types::{Silence, SilenceId, SilenceSpec};
use crate::{
    clock::Timestamp,
    db::{self, AsConn, Result, Tx},
    on_db, statements,
};

macro_rules! columns {
    () => {
        "silence_id, matchers, starts_at, ends_at, comment, created_by, created_at, updated_at"
    };
}

statements! { STATEMENTS:
    ALL = concat!("SELECT ", columns!(), " FROM silences");
    FIND = concat!("SELECT ", columns!(), " FROM silences WHERE silence_id = $1");
    PUT = concat!("INSERT INTO silences (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
        ON CONFLICT (silence_id) DO UPDATE SET matchers = excluded.matchers, starts_at = excluded.starts_at, \
        ends_at = excluded.ends_at, comment = excluded.comment, updated_at = excluded.updated_at");
    DELETE = "DELETE FROM silences WHERE silence_id = $1";
    DELETE_ENDED = concat!("DELETE FROM silences WHERE ends_at < $1 RETURNING ", columns!());
}

pub(crate) async fn all(on: &mut dyn AsConn) -> Result<Vec<Silence>> {
    on_db!(on, |c| sqlx::query_as(ALL).fetch_all(c).await)
}

/// One that nobody else changes before the transaction ends.
pub(super) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<Silence>> {
    db::lock(tx, FIND, id).await
}

/// Makes or replaces one.
pub(super) async fn put(tx: &mut Tx, silence: &Silence) -> Result<()> {
    let Silence { silence_id, spec, created_by, created_at, updated_at } = silence;
    let SilenceSpec { matchers, starts_at, ends_at, comment } = spec;
    on_db!(tx, |c| sqlx::query(PUT)
        .bind(silence_id)
        .bind(matchers)
        .bind(starts_at)
        .bind(ends_at)
        .bind(comment)
        .bind(created_by)
        .bind(created_at)
        .bind(updated_at)
        .execute(c)
        .await
        .map(drop))
}

pub(super) async fn delete(tx: &mut Tx, id: &SilenceId) -> Result<()> {
    on_db!(tx, |c| sqlx::query(DELETE).bind(id).execute(c).await.map(drop))
}

/// Deletes those that ended before `before`, and gives them.
pub(crate) async fn delete_ended(tx: &mut Tx, before: Timestamp) -> Result<Vec<Silence>> {
    on_db!(tx, |c| sqlx::query_as(DELETE_ENDED).bind(before).fetch_all(c).await)
}
