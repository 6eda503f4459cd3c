//! Every SQL statement prepares on its database, with the same parameters and columns on both.

use looma::{
    db::{AsConn, Db},
    on_db,
};
use looma_tests::Store;

/// Parameter count and column names of one statement, as the database itself sees it.
async fn prepared(on: &mut dyn AsConn, sql: &'static str) -> sqlx::Result<(usize, Vec<String>)> {
    on_db!(on, |c| {
        use sqlx::{Column as _, Either, Executor as _, Statement as _};
        let statement = c.prepare(sqlx::SqlStr::from_static(sql)).await?;
        let parameters = match statement.parameters() {
            Some(Either::Left(types)) => types.len(),
            Some(Either::Right(n)) => n,
            None => 0,
        };
        Ok((parameters, statement.columns().iter().map(|c| c.name().to_owned()).collect()))
    })
}

async fn open(store: &Store) -> Db {
    Db::open(&store.settings().database_url().unwrap(), 1).await.unwrap()
}

#[tokio::test]
async fn every_statement_prepares_alike_on_both() {
    let all = looma::statements::all();
    let store = Store::sqlite();
    let sqlite = open(&store).await;
    let mut s = sqlite.read().await.unwrap();
    for (name, sql) in all.both.iter().chain(&all.sqlite) {
        prepared(&mut s, sql).await.unwrap_or_else(|e| panic!("{name} on SQLite: {e}"));
    }
    let Some(store) = Store::postgres().await else { return };
    let postgres = open(&store).await;
    let mut p = postgres.read().await.unwrap();
    for (name, sql) in all.both.iter().chain(&all.postgres) {
        prepared(&mut p, sql).await.unwrap_or_else(|e| panic!("{name} on PostgreSQL: {e}"));
    }
    for (name, sql) in &all.both {
        assert_eq!(prepared(&mut s, sql).await.unwrap(), prepared(&mut p, sql).await.unwrap(), "{name}");
    }
}
