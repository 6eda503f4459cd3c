//! Each migration is applied to a database that has rows of all the ones before it.

use std::path::PathBuf;

use looma::db::{POSTGRES_MIGRATIONS, SQLITE_MIGRATIONS};
use looma_tests::{Store, root};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqliteConnection,
    migrate::{Migrate, Migration, Migrator},
    postgres::PgConnectOptions,
    sqlite::SqliteConnectOptions,
};

fn sample(migration: &Migration, now: &str) -> AssertSqlSafe<String> {
    let name = format!("{:04}_{}.sql", migration.version, migration.description.replace(' ', "_"));
    let file: PathBuf = root().join("tests/samples").join(name);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    AssertSqlSafe(text.replace("{now}", now))
}

async fn step<C: Migrate>(connection: &mut C, migrator: &Migrator, migration: &Migration) {
    connection.ensure_migrations_table(&migrator.table_name).await.unwrap();
    connection.apply(&migrator.table_name, migration).await.unwrap();
}

#[tokio::test]
async fn sqlite_takes_rows_over_each() {
    let store = Store::sqlite();
    let options =
        SqliteConnectOptions::new().filename(store.dir().join("m.db")).create_if_missing(true).foreign_keys(true);
    let mut c: SqliteConnection = options.connect().await.unwrap();
    for migration in SQLITE_MIGRATIONS.iter() {
        step(&mut c, &SQLITE_MIGRATIONS, migration).await;
        sqlx::raw_sql(sample(migration, "1767225600000")).execute(&mut c).await.unwrap();
    }
    let kept: f64 = sqlx::query_scalar("SELECT metric_value FROM service_metrics").fetch_one(&mut c).await.unwrap();
    assert_eq!(kept, 1.5);
    c.close().await.unwrap();
}

#[tokio::test]
async fn postgres_takes_rows_over_each() {
    let Some(store) = Store::postgres().await else { return };
    let options: PgConnectOptions = store.url().unwrap().parse().unwrap();
    let mut c: PgConnection = options.options([("search_path", "steps")]).connect().await.unwrap();
    sqlx::raw_sql("CREATE SCHEMA steps").execute(&mut c).await.unwrap();
    for migration in POSTGRES_MIGRATIONS.iter() {
        step(&mut c, &POSTGRES_MIGRATIONS, migration).await;
        sqlx::raw_sql(sample(migration, "'2026-01-01T00:00:00Z'")).execute(&mut c).await.unwrap();
    }
    let kept: f64 = sqlx::query_scalar("SELECT metric_value FROM service_metrics").fetch_one(&mut c).await.unwrap();
    assert_eq!(kept, 1.5);
    c.close().await.unwrap();
}
