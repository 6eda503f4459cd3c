//! Opening PostgreSQL.

use std::time::Duration;

use anyhow::Context as _;
use sqlx::{
    Connection as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{Db, POSTGRES_MIGRATIONS};

pub(super) async fn open(url: &str, connections: u32) -> anyhow::Result<Db> {
    let options: PgConnectOptions = url.parse().context("could not read the database URL")?;
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        // The default pings on every acquire: one round trip. Ping only what lay idle.
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(async move {
                if meta.idle_for > Duration::from_secs(10) {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(options)
        .await
        .context("could not connect to PostgreSQL")?;
    POSTGRES_MIGRATIONS.run(&pool).await.context("could not bring the tables of PostgreSQL up to date")?;
    Ok(Db::Postgres(pool))
}
