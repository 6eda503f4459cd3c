//! Hearing of what others commit: a connection of its own to PostgreSQL, which notifications come over.
//!
//! A notification is a hint and never the truth: one may be lost with its connection.

use std::io;

use sqlx::postgres::{PgListener, PgPoolOptions};

use super::{Db, Result};

/// A connection that hears of notifications on one channel.
pub struct Listener(PgListener);

impl Db {
    /// Whether other processes write to it too. A file of SQLite has one.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Listens on a channel; `None` on SQLite, where there is nobody else to hear of.
    pub async fn listen(&self, channel: &str) -> Result<Option<Listener>> {
        let Self::Postgres(pool) = self else { return Ok(None) };
        // Beside the pool, which is for requests: this connection is never given back.
        let own = PgPoolOptions::new().max_connections(1).connect_lazy_with((*pool.connect_options()).clone());
        let mut listener = PgListener::connect_with(&own).await?;
        listener.eager_reconnect(false);
        listener.listen(channel).await?;
        Ok(Some(Listener(listener)))
    }
}

impl Listener {
    /// Waits for the next notification and gives what it says. An error is the end of the connection.
    pub async fn heard(&mut self) -> Result<String> {
        let lost = || io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was lost");
        let heard = self.0.try_recv().await?.ok_or_else(lost)?;
        Ok(heard.payload().to_owned())
    }
}
