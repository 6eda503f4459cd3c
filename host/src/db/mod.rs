//! The two databases behind one door.
//!
//! `Db` hands out a `Reader` or a `Tx`; a statement runs with `on_db!` on the driver connection behind either of them.
//! Functions that read take `&mut dyn AsConn`; what writes takes `&mut Tx`, so that writing outside a write transaction
//! does not compile. This module knows no domain.
//!
//! Read on in `sqlite`, `postgres` (opening), `migrate`, `types` (columns), `one` (a row by its key), `group_commit` (many small
//! writes at once), `listen` (hearing of what others commit).

mod group_commit;
pub mod lease;
mod listen;
mod migrate;
mod one;
mod postgres;
mod sqlite;
mod types;

use sqlx::{PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction, pool::PoolConnection};

pub use group_commit::{GroupCommit, Overloaded};
pub use listen::Listener;
pub use migrate::{POSTGRES_MIGRATIONS, SQLITE_MIGRATIONS};
pub use one::{Row, find, lock};

/// What a statement gives.
pub type Result<T, E = sqlx::Error> = std::result::Result<T, E>;
/// JSON in a column: `JSONB` on PostgreSQL, checked text on SQLite.
pub use sqlx::types::Json;
/// What can go wrong below a statement.
pub type DbError = sqlx::Error;

/// One driver connection, borrowed.
pub enum Conn<'c> {
    /// A connection to SQLite.
    Sqlite(&'c mut SqliteConnection),
    /// A connection to PostgreSQL.
    Postgres(&'c mut PgConnection),
}

/// Anything a statement can run on: a `Reader`, a `Tx`, a `Conn`. Used as `&mut dyn AsConn`.
pub trait AsConn: Send {
    /// The driver connection behind it.
    fn conn(&mut self) -> Conn<'_>;
}

/// Runs one expression on whichever driver is behind `$on`. The body is compiled twice, once with
/// `$c: &mut SqliteConnection` and once with `$c: &mut PgConnection`; both must give one type.
#[macro_export]
macro_rules! on_db {
    ($on:expr, |$c:ident| $body:expr) => {
        match $crate::db::AsConn::conn($on) {
            $crate::db::Conn::Sqlite($c) => $body,
            $crate::db::Conn::Postgres($c) => $body,
        }
    };
}

/// Declares SQL constants and lists them, so that a test can prepare every one of them.
#[macro_export]
macro_rules! statements {
    ($list:ident: $($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* const $name: &str = $sql;)*
        pub(crate) const $list: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

/// An open database. Clones share its pools.
#[derive(Clone, Debug)]
pub enum Db {
    /// One file: many readers, one writer.
    Sqlite {
        /// Connections that cannot write.
        read: SqlitePool,
        /// The one connection that writes.
        write: SqlitePool,
        /// Where checkpoints are made from, so that no commit waits for one.
        checkpoint: SqlitePool,
    },
    /// A server.
    Postgres(PgPool),
}

/// A connection to read from.
pub enum Reader {
    /// From the pool that cannot write.
    Sqlite(PoolConnection<Sqlite>),
    /// From the one pool.
    Postgres(PoolConnection<Postgres>),
}

/// A transaction. Dropped without `commit`, it rolls back.
///
/// Never turn an error of a statement inside it into a value: PostgreSQL has doomed the transaction by then, and its
/// COMMIT would report success and keep nothing. Leave with `?`, or use `ON CONFLICT DO NOTHING RETURNING`.
pub enum Tx {
    /// Began with `BEGIN IMMEDIATE`.
    Sqlite(Transaction<'static, Sqlite>),
    /// An ordinary transaction.
    Postgres(Transaction<'static, Postgres>),
}

/// Where a database is, without its password, for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DbUrl {
    /// A file of SQLite.
    Sqlite(std::path::PathBuf),
    /// A `postgres://` address.
    Postgres(String),
}

impl std::str::FromStr for DbUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        match text.strip_prefix("sqlite:") {
            Some(file) if !file.trim_start_matches("//").is_empty() => {
                Ok(Self::Sqlite(file.strip_prefix("//").unwrap_or(file).into()))
            }
            _ => Err("a database URL starts with postgres:// or with sqlite: and a file".into()),
        }
    }
}

impl Db {
    /// Opens the database, creates it where that is possible, and brings its tables up to date.
    pub async fn open(url: &DbUrl, connections: u32) -> anyhow::Result<Self> {
        match url {
            DbUrl::Sqlite(file) => sqlite::open(file, connections).await,
            DbUrl::Postgres(url) => postgres::open(url, connections).await,
        }
    }

    /// A connection to read from. Never take one while a transaction of the same request is open.
    pub async fn read(&self) -> Result<Reader> {
        Ok(match self {
            Self::Sqlite { read, .. } => Reader::Sqlite(read.acquire().await?),
            Self::Postgres(pool) => Reader::Postgres(pool.acquire().await?),
        })
    }

    /// A transaction to write in. On SQLite they queue, in order, for the one connection that writes.
    pub async fn write(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { write, .. } => Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// A transaction that only reads, and sees one moment of the whole database.
    pub async fn snapshot(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { read, .. } => Tx::Sqlite(read.begin().await?),
            Self::Postgres(pool) => {
                Tx::Postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
        })
    }

    /// Moves what was committed from the log of SQLite into its file; nothing to do on PostgreSQL.
    pub async fn checkpoint(&self) -> Result<()> {
        if let Self::Sqlite { checkpoint, .. } = self {
            sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(checkpoint).await?;
        }
        Ok(())
    }

    /// Which of the two it is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }

    /// Waits for what runs and closes every connection.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { read, write, checkpoint } => {
                read.close().await;
                write.close().await;
                checkpoint.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    /// Makes what was written durable.
    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }

    /// Takes back what was written; when this returns, nobody waits for its locks any more.
    pub async fn rollback(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await,
            Self::Postgres(tx) => tx.rollback().await,
        }
    }
}

impl AsConn for Conn<'_> {
    fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(c) => Conn::Sqlite(c),
            Self::Postgres(c) => Conn::Postgres(c),
        }
    }
}

impl AsConn for Reader {
    fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(c) => Conn::Sqlite(c),
            Self::Postgres(c) => Conn::Postgres(c),
        }
    }
}

impl AsConn for Tx {
    fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(tx) => Conn::Sqlite(tx),
            Self::Postgres(tx) => Conn::Postgres(tx),
        }
    }
}

/// Whether a statement failed because something with that key is there already.
pub fn is_conflict(error: &DbError) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Whether a statement failed because what it refers to is not there, or is still referred to.
pub fn is_broken_reference(error: &DbError) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation)
}

/// Whether the database itself refused a statement, rather than not being there to take it.
pub fn is_refusal(error: &DbError) -> bool {
    error.as_database_error().is_some()
}

/// Whether a text held the character NUL, which PostgreSQL takes in no text: SQLSTATE 22021, in JSON 22P05.
pub fn is_unstorable_text(error: &DbError) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "22021" || code == "22P05")
}

/// Whether PostgreSQL ended the transaction for the sake of another: tried again, it may well go through. The codes are
/// `serialization_failure` and `deadlock_detected` of its appendix A.
pub fn is_rivalry(error: &DbError) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "40001" || code == "40P01")
}

/// Does what is one transaction, and does it again when it has lost to a rival: three times at most.
pub async fn retried<T, Fut: Future<Output = Result<T>>>(work: impl Fn() -> Fut) -> Result<T> {
    for _ in 0..2 {
        match work().await {
            Err(error) if is_rivalry(&error) => tracing::debug!(%error, "a transaction lost to a rival: tried again"),
            done => return done,
        }
    }
    work().await
}

/// Whether no connection became free in time.
pub fn is_pool_timeout(error: &DbError) -> bool {
    matches!(error, sqlx::Error::PoolTimedOut)
}
