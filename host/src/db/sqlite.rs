//! Opening SQLite: a write-ahead log, every commit synced, one writer, checkpoints from a connection of their own.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{Db, SQLITE_MIGRATIONS};

/// The log is checkpointed inside a commit only past this many pages of 4 KiB; until then the checkpoint task does it.
const WAL_LIMIT_PAGES: &str = "16384";

pub(super) async fn open(file: &Path, readers: u32) -> anyhow::Result<Db> {
    let tried = || format!("could not open the database {}", file.display());
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5));
    let one =
        || SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None).test_before_acquire(false);
    // One connection that never expires: writes queue here, in order, and never see SQLITE_BUSY from this process.
    let writer = options.clone().pragma("wal_autocheckpoint", WAL_LIMIT_PAGES);
    let write = one().connect_with(writer).await.with_context(tried)?;
    SQLITE_MIGRATIONS.run(&write).await.with_context(|| format!("could not bring {} up to date", file.display()))?;
    let checkpoint = one().connect_with(options.clone()).await.with_context(tried)?;
    let read = SqlitePoolOptions::new()
        .max_connections(readers)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options.pragma("query_only", "ON"))
        .await
        .with_context(tried)?;
    Ok(Db::Sqlite { read, write, checkpoint })
}
