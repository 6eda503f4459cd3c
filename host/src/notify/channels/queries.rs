//! SQL of channels.

use super::types::{Channel, ChannelId, ChannelSpec};
use crate::{
    db::{AsConn, Result, Tx},
    on_db, statements,
};

macro_rules! columns {
    () => {
        "channel_id, name, notifier, config, enabled, created_at, updated_at"
    };
}

statements! { STATEMENTS:
    ALL = concat!("SELECT ", columns!(), " FROM channels");
    INSERT = concat!("INSERT INTO channels (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7)");
    UPDATE = "UPDATE channels SET name = $2, notifier = $3, config = $4, enabled = $5, updated_at = $6 WHERE channel_id = $1";
    DELETE = "DELETE FROM channels WHERE channel_id = $1";
}

pub(crate) async fn all(on: &mut dyn AsConn) -> Result<Vec<Channel>> {
    on_db!(on, |c| sqlx::query_as(ALL).fetch_all(c).await)
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
