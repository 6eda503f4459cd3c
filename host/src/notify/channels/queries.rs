//! SQL of channels.

use super::types::{Channel, ChannelId, ChannelSpec};
use crate::{
    db::{self, AsConn, Conn, Json, Result, Tx},
    on_db, statements,
};

macro_rules! columns {
    () => {
        "channel_id, name, notifier, config, enabled, created_at, updated_at"
    };
}

statements! { STATEMENTS:
    ALL = concat!("SELECT ", columns!(), " FROM channels");
    FIND = concat!("SELECT ", columns!(), " FROM channels WHERE channel_id = $1 OR name = $1 ORDER BY channel_id = $1 DESC LIMIT 1");
    INSERT = concat!("INSERT INTO channels (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7)");
    UPDATE = "UPDATE channels SET name = $2, notifier = $3, config = $4, enabled = $5, updated_at = $6 WHERE channel_id = $1";
    DELETE = "DELETE FROM channels WHERE channel_id = $1";
}

statements! { SQLITE:
    HOLD_SQLITE = "SELECT name FROM channels WHERE name IN (SELECT value FROM json_each($1))";
}

statements! { POSTGRES:
    HOLD_POSTGRES = "SELECT name FROM channels WHERE name = ANY($1) ORDER BY name FOR SHARE";
}

pub(crate) async fn all(on: &mut dyn AsConn) -> Result<Vec<Channel>> {
    on_db!(on, |c| sqlx::query_as(ALL).fetch_all(c).await)
}

/// By id, or by name.
pub(super) async fn find(on: &mut dyn AsConn, id: &str) -> Result<Option<Channel>> {
    db::find(on, FIND, id).await
}

/// As `find`, and nobody else changes it before the transaction ends.
pub(super) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<Channel>> {
    db::lock(tx, FIND, id).await
}

/// Which of these names are names of channels; they stay so until the transaction ends.
pub(crate) async fn hold(tx: &mut Tx, names: &[String]) -> Result<Vec<String>> {
    let names: Vec<&String> = names.iter().filter(|name| !name.contains('\0')).collect();
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query_scalar(HOLD_SQLITE).bind(Json(names)).fetch_all(c).await,
        Conn::Postgres(c) => sqlx::query_scalar(HOLD_POSTGRES).bind(names).fetch_all(c).await,
    }
}

pub(super) async fn insert(tx: &mut Tx, channel: &Channel) -> Result<()> {
    let Channel { channel_id, spec: ChannelSpec { name, notifier, config, enabled }, created_at, updated_at } = channel;
    on_db!(tx, |c| sqlx::query(INSERT)
        .bind(channel_id)
        .bind(name)
        .bind(notifier)
        .bind(config)
        .bind(enabled)
        .bind(created_at)
        .bind(updated_at)
        .execute(c)
        .await
        .map(drop))
}

pub(super) async fn update(tx: &mut Tx, channel: &Channel) -> Result<()> {
    let Channel { channel_id, spec: ChannelSpec { name, notifier, config, enabled }, created_at: _, updated_at } =
        channel;
    on_db!(tx, |c| sqlx::query(UPDATE)
        .bind(channel_id)
        .bind(name)
        .bind(notifier)
        .bind(config)
        .bind(enabled)
        .bind(updated_at)
        .execute(c)
        .await
        .map(drop))
}

pub(super) async fn delete(tx: &mut Tx, id: &ChannelId) -> Result<()> {
    on_db!(tx, |c| sqlx::query(DELETE).bind(id).execute(c).await.map(drop))
}
