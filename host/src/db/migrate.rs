//! The migrations of both databases, embedded. They only go forward; both folders hold the same numbers and names.

use sqlx::migrate::Migrator;

/// Tables of SQLite.
pub static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");
/// Tables of PostgreSQL.
pub static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");
