//! SQL of samples.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::types::{Point, SeriesId, SeriesKey};
use crate::{
    clock::Timestamp,
    db::{AsConn, Conn, Json, Result, Tx},
    ids::ServiceId,
    on_db, statements,
};

macro_rules! columns {
    () => {
        "series_id, service_id, metric_name, metric_unit, tags"
    };
}

/// Where a series is there already, a unit that is named replaces what was there. The row is given either way.
macro_rules! upsert_series {
    () => {
        " ON CONFLICT (series_key) DO UPDATE SET metric_unit = coalesce(excluded.metric_unit, metric_series.metric_unit) \
         RETURNING series_id, series_key"
    };
}

macro_rules! upsert_points {
    () => {
        " ON CONFLICT (series_id, at) DO UPDATE SET value = excluded.value, seq = excluded.seq"
    };
}

/// Eight rows of points.
macro_rules! eight {
    () => {
        "(?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?)"
    };
}

/// How many points one statement takes on SQLite.
const ROWS: usize = 64;

statements! { STATEMENTS:
    HEAD = "SELECT seq FROM metric_head WHERE one = 1";
    RAISE_HEAD = "UPDATE metric_head SET seq = seq + 1 WHERE one = 1 RETURNING seq";
    ALL_SERIES = concat!("SELECT ", columns!(), ", (SELECT max(p.at) FROM metric_points p \
        WHERE p.series_id = metric_series.series_id) AS newest FROM metric_series ORDER BY series_id");
    // CROSS JOIN: SQLite takes the series first and seeks the recent points of each.
    RECENT = "SELECT p.series_id, p.at, p.value FROM metric_series s CROSS JOIN metric_points p \
        WHERE p.series_id = s.series_id AND p.at >= $1 AND s.series_id > $2 AND s.series_id <= $3 \
        ORDER BY p.series_id, p.at";
    WRITTEN_SERIES = concat!("SELECT ", columns!(), ", CAST(NULL AS TIMESTAMPTZ) AS newest FROM metric_series \
        WHERE series_id IN (SELECT p.series_id FROM metric_points p WHERE p.seq > $1 AND p.seq <= $2)");
    WRITTEN_POINTS = "SELECT series_id, at, value FROM metric_points WHERE seq > $1 AND seq <= $2";
    BEFORE = "SELECT at, value FROM metric_points WHERE series_id = $1 AND at < $2 AND at >= $3 \
        ORDER BY at DESC LIMIT 1";
}

statements! { SQLITE:
    INTERN_SQLITE = concat!("INSERT INTO metric_series (series_key, service_id, metric_name, metric_unit, tags, created_at) \
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each($1) WHERE TRUE",
        upsert_series!());
    // Bound, not as JSON: SQLite does not promise to read the text of a number to its last bit.
    INSERT_64_SQLITE = concat!("INSERT INTO metric_points (series_id, at, value, seq) VALUES ",
        eight!(), ", ", eight!(), ", ", eight!(), ", ", eight!(), ", ",
        eight!(), ", ", eight!(), ", ", eight!(), ", ", eight!(), upsert_points!());
    INSERT_1_SQLITE = concat!("INSERT INTO metric_points (series_id, at, value, seq) VALUES (?, ?, ?, ?)",
        upsert_points!());
    BETWEEN_SQLITE = "SELECT series_id, at, value FROM metric_points \
        WHERE series_id IN (SELECT value FROM json_each($1)) AND at >= $2 AND at < $3 ORDER BY series_id, at LIMIT $4";
    EXISTING_SQLITE = "SELECT series_id FROM metric_series WHERE series_id IN (SELECT value FROM json_each($1))";
    DELETE_OLD_SQLITE = "DELETE FROM metric_points WHERE (series_id, at) IN (SELECT series_id, at FROM metric_points \
        WHERE series_id IN (SELECT value FROM json_each($1)) AND at < $2 LIMIT $3)";
    DELETE_EMPTY_SQLITE = "DELETE FROM metric_series WHERE series_id IN (SELECT value FROM json_each($1)) \
        AND NOT EXISTS (SELECT 1 FROM metric_points p WHERE p.series_id = metric_series.series_id)";
}

statements! { POSTGRES:
    INTERN_POSTGRES = concat!("INSERT INTO metric_series (series_key, service_id, metric_name, metric_unit, tags, created_at) \
        SELECT row ->> 0, row ->> 1, row ->> 2, row ->> 3, (row ->> 4)::jsonb, to_timestamp((row ->> 5)::bigint / 1000.0) \
        FROM jsonb_array_elements($1) AS row", upsert_series!());
    INSERT_POSTGRES = concat!("INSERT INTO metric_points (series_id, at, value, seq) \
        SELECT p.series_id, p.at, p.value, $4 \
        FROM UNNEST($1::bigint[], $2::timestamptz[], $3::double precision[]) AS p (series_id, at, value)",
        upsert_points!());
    BETWEEN_POSTGRES = "SELECT series_id, at, value FROM metric_points \
        WHERE series_id = ANY($1) AND at >= $2 AND at < $3 ORDER BY series_id, at LIMIT $4";
    EXISTING_POSTGRES = "SELECT series_id FROM metric_series WHERE series_id = ANY($1)";
    DELETE_OLD_POSTGRES = "DELETE FROM metric_points WHERE (series_id, at) IN (SELECT series_id, at FROM metric_points \
        WHERE series_id = ANY($1) AND at < $2 ORDER BY series_id, at LIMIT $3)";
    DELETE_EMPTY_POSTGRES = "DELETE FROM metric_series WHERE series_id = ANY($1) \
        AND NOT EXISTS (SELECT 1 FROM metric_points p WHERE p.series_id = metric_series.series_id)";
}

/// A series as it is stored.
pub(super) struct StoredSeries {
    pub(super) series_id: SeriesId,
    pub(super) key: SeriesKey,
    pub(super) unit: Option<String>,
    /// The time of its newest point, where that was asked for.
    pub(super) newest: Option<Timestamp>,
}

/// A series to be numbered.
pub(super) struct NewSeries {
    pub(super) digest: String,
    pub(super) key: SeriesKey,
    pub(super) unit: Option<String>,
}

#[derive(sqlx::FromRow)]
struct SeriesRow {
    series_id: SeriesId,
    service_id: ServiceId,
    metric_name: String,
    metric_unit: Option<String>,
    tags: Json<BTreeMap<String, String>>,
    newest: Option<Timestamp>,
}

impl From<SeriesRow> for StoredSeries {
    fn from(row: SeriesRow) -> Self {
        let SeriesRow { series_id, service_id, metric_name, metric_unit, tags: Json(tags), newest } = row;
        Self { series_id, key: SeriesKey { service_id, metric_name, tags }, unit: metric_unit, newest }
    }
}

type PointRow = (SeriesId, Timestamp, f64);

fn points(rows: Vec<PointRow>) -> Vec<(SeriesId, Point)> {
    rows.into_iter().map(|(id, at, value)| (id, (at.millis(), value))).collect()
}

/// The number of the newest write.
pub(super) async fn head(on: &mut dyn AsConn) -> Result<i64> {
    on_db!(on, |c| sqlx::query_scalar(HEAD).fetch_one(c).await)
}

/// Takes the turn among all replicas until the transaction ends, and gives the number of this write.
pub(super) async fn raise_head(tx: &mut Tx) -> Result<i64> {
    on_db!(tx, |c| sqlx::query_scalar(RAISE_HEAD).fetch_one(c).await)
}

pub(super) async fn all_series(on: &mut dyn AsConn) -> Result<Vec<StoredSeries>> {
    let rows: Vec<SeriesRow> = on_db!(on, |c| sqlx::query_as(ALL_SERIES).fetch_all(c).await)?;
    Ok(rows.into_iter().map(StoredSeries::from).collect())
}

/// Points since `from` of the series numbered `after < id <= last`.
pub(super) async fn recent(
    on: &mut dyn AsConn,
    from: Timestamp,
    after: SeriesId,
    last: SeriesId,
) -> Result<Vec<(SeriesId, Point)>> {
    let rows: Vec<PointRow> =
        on_db!(on, |c| sqlx::query_as(RECENT).bind(from).bind(after).bind(last).fetch_all(c).await)?;
    Ok(points(rows))
}

/// The series that the writes `after < seq <= last` brought points for, and those points.
pub(super) async fn written(
    on: &mut dyn AsConn,
    after: i64,
    last: i64,
) -> Result<(Vec<StoredSeries>, Vec<(SeriesId, Point)>)> {
    let series: Vec<SeriesRow> =
        on_db!(on, |c| sqlx::query_as(WRITTEN_SERIES).bind(after).bind(last).fetch_all(c).await)?;
    let rows: Vec<PointRow> = on_db!(on, |c| sqlx::query_as(WRITTEN_POINTS).bind(after).bind(last).fetch_all(c).await)?;
    Ok((series.into_iter().map(StoredSeries::from).collect(), points(rows)))
}

/// Up to `limit` points of those series, `from <= at < to`, by series and time.
pub(super) async fn between(
    on: &mut dyn AsConn,
    ids: &[SeriesId],
    (from, to): (Timestamp, Timestamp),
    limit: i64,
) -> Result<Vec<(SeriesId, Point)>> {
    let rows: Vec<PointRow> = match on.conn() {
        Conn::Sqlite(c) => {
            sqlx::query_as(BETWEEN_SQLITE).bind(Json(ids)).bind(from).bind(to).bind(limit).fetch_all(c).await?
        }
        Conn::Postgres(c) => {
            sqlx::query_as(BETWEEN_POSTGRES).bind(ids).bind(from).bind(to).bind(limit).fetch_all(c).await?
        }
    };
    Ok(points(rows))
}

/// The newest point of a series in `oldest <= at < before`.
pub(super) async fn before(
    on: &mut dyn AsConn,
    id: SeriesId,
    before: Timestamp,
    oldest: Timestamp,
) -> Result<Option<Point>> {
    let row: Option<(Timestamp, f64)> =
        on_db!(on, |c| sqlx::query_as(BEFORE).bind(id).bind(before).bind(oldest).fetch_optional(c).await)?;
    Ok(row.map(|(at, value)| (at.millis(), value)))
}

/// Those of the series that the database has.
pub(super) async fn existing(on: &mut dyn AsConn, ids: &[SeriesId]) -> Result<Vec<SeriesId>> {
    match on.conn() {
        Conn::Sqlite(c) => sqlx::query_scalar(EXISTING_SQLITE).bind(Json(ids)).fetch_all(c).await,
        Conn::Postgres(c) => sqlx::query_scalar(EXISTING_POSTGRES).bind(ids).fetch_all(c).await,
    }
}

/// Numbers series, or finds the numbers that they have; by digest.
pub(super) async fn intern(tx: &mut Tx, series: &[NewSeries], now: Timestamp) -> Result<Vec<(SeriesId, String)>> {
    let rows: Vec<Value> = series
        .iter()
        .map(|NewSeries { digest, key, unit }| {
            let tags = json!(key.tags).to_string();
            json!([digest, key.service_id, key.metric_name, unit, tags, now.millis()])
        })
        .collect();
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query_as(INTERN_SQLITE).bind(Json(rows)).fetch_all(c).await,
        Conn::Postgres(c) => sqlx::query_as(INTERN_POSTGRES).bind(Json(rows)).fetch_all(c).await,
    }
}

/// Writes points, each series and moment at most once among them.
pub(super) async fn insert_points(tx: &mut Tx, points: &[(SeriesId, Timestamp, f64)], seq: i64) -> Result<()> {
    match tx.conn() {
        Conn::Sqlite(c) => {
            let (whole, rest) = points.split_at(points.len() / ROWS * ROWS);
            for rows in whole.chunks(ROWS) {
                let mut insert = sqlx::query(INSERT_64_SQLITE);
                for (id, at, value) in rows {
                    insert = insert.bind(id).bind(at).bind(value).bind(seq);
                }
                insert.execute(&mut *c).await?;
            }
            for (id, at, value) in rest {
                sqlx::query(INSERT_1_SQLITE).bind(id).bind(at).bind(value).bind(seq).execute(&mut *c).await?;
            }
        }
        Conn::Postgres(c) => {
            sqlx::query(INSERT_POSTGRES)
                .bind(points.iter().map(|(id, _, _)| *id).collect::<Vec<_>>())
                .bind(points.iter().map(|(_, at, _)| *at).collect::<Vec<_>>())
                .bind(points.iter().map(|(_, _, value)| *value).collect::<Vec<_>>())
                .bind(seq)
                .execute(c)
                .await?;
        }
    }
    Ok(())
}

/// Deletes up to `limit` points of those series that are older than `before`; gives how many.
pub(super) async fn delete_old(tx: &mut Tx, ids: &[SeriesId], before: Timestamp, limit: i64) -> Result<u64> {
    match tx.conn() {
        Conn::Sqlite(c) => {
            let delete = sqlx::query(DELETE_OLD_SQLITE).bind(Json(ids)).bind(before).bind(limit);
            delete.execute(c).await.map(|done| done.rows_affected())
        }
        Conn::Postgres(c) => {
            let delete = sqlx::query(DELETE_OLD_POSTGRES).bind(ids).bind(before).bind(limit);
            delete.execute(c).await.map(|done| done.rows_affected())
        }
    }
}

/// Deletes those of the series that have no point.
pub(super) async fn delete_empty(tx: &mut Tx, ids: &[SeriesId]) -> Result<u64> {
    match tx.conn() {
        Conn::Sqlite(c) => {
            let delete = sqlx::query(DELETE_EMPTY_SQLITE).bind(Json(ids));
            delete.execute(c).await.map(|done| done.rows_affected())
        }
        Conn::Postgres(c) => {
            let delete = sqlx::query(DELETE_EMPTY_POSTGRES).bind(ids);
            delete.execute(c).await.map(|done| done.rows_affected())
        }
    }
}
