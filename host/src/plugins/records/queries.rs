//! SQL of records.

use super::{
    RULE_BYTES,
    types::{Exchange, NewRecord, Record, WholeRecord},
};
use crate::{
    db::{AsConn, Result, Tx},
    on_db, statements,
};

macro_rules! columns {
    () => {
        "record_id, rule_id, recorded_at, plugin_name, version, digest, series, bytes, error, skipped"
    };
}

statements! { STATEMENTS:
    /// A rule that is gone, or that wants no records any more, gets none.
    PUT = concat!("INSERT INTO evaluation_records (", columns!(), ", exchange) \
        SELECT $1, rule_id, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM alert_rules \
        WHERE rule_id = $2 AND deleted_at IS NULL AND record > 0");
    /// What is over the rule's number of records, or over its bytes, the latest first.
    PRUNE = "DELETE FROM evaluation_records WHERE rule_id = $1 AND record_id NOT IN (SELECT record_id FROM \
        (SELECT record_id, row_number() OVER (ORDER BY record_id DESC) AS n, sum(bytes) OVER (ORDER BY record_id DESC) AS total \
        FROM evaluation_records WHERE rule_id = $1) AS ranked \
        WHERE n <= (SELECT record FROM alert_rules WHERE rule_id = $1) AND total <= $2)";
    FORGET = "DELETE FROM evaluation_records WHERE rule_id = $1";
    LIST = concat!("SELECT ", columns!(), " FROM evaluation_records WHERE rule_id = $1 AND record_id < $2 \
        ORDER BY record_id DESC LIMIT $3");
    FIND = concat!("SELECT ", columns!(), " FROM evaluation_records WHERE rule_id = $1 AND record_id = $2");
    EXCHANGE = "SELECT exchange FROM evaluation_records WHERE record_id = $1";
}

/// Keeps a call under a key that sorts after all before it: `exchange` is what is kept of it, or why nothing is.
pub(super) async fn put(
    tx: &mut Tx,
    id: &str,
    new: &NewRecord,
    exchange: &std::result::Result<Vec<u8>, String>,
) -> Result<()> {
    let NewRecord { rule_id, recorded_at, series, answer, by, .. } = new;
    let (exchange, skipped) = (exchange.as_ref().ok(), exchange.as_ref().err());
    let bytes = exchange.map_or(0, |text| i64::try_from(text.len()).unwrap_or(i64::MAX));
    let series = i64::try_from(series.len()).unwrap_or(i64::MAX);
    on_db!(tx, |c| sqlx::query(PUT)
        .bind(id)
        .bind(rule_id)
        .bind(recorded_at)
        .bind(by.name.as_str())
        .bind(&by.version)
        .bind(&by.digest)
        .bind(series)
        .bind(bytes)
        .bind(answer.as_ref().err())
        .bind(skipped)
        .bind(exchange)
        .execute(c)
        .await
        .map(drop))
}

/// Forgets the records of a rule that are too many or too large.
pub async fn prune(tx: &mut Tx, rule: &str) -> Result<()> {
    on_db!(tx, |c| sqlx::query(PRUNE).bind(rule).bind(RULE_BYTES).execute(c).await.map(drop))
}

/// Forgets every record of a rule.
pub async fn forget(tx: &mut Tx, rule: &str) -> Result<()> {
    on_db!(tx, |c| sqlx::query(FORGET).bind(rule).execute(c).await.map(drop))
}

/// The records of a rule before the key `before`, latest first.
pub async fn list(on: &mut dyn AsConn, rule: &str, before: &str, limit: i64) -> Result<Vec<Record>> {
    on_db!(on, |c| sqlx::query_as(LIST).bind(rule).bind(before).bind(limit).fetch_all(c).await)
}

/// One record of a rule, with what was said.
pub async fn whole(on: &mut dyn AsConn, rule: &str, id: &str) -> Result<Option<WholeRecord>> {
    let found: Option<Record> = on_db!(on, |c| sqlx::query_as(FIND).bind(rule).bind(id).fetch_optional(c).await)?;
    let Some(record) = found else { return Ok(None) };
    let exchange = exchange(on, id).await?;
    Ok(Some(WholeRecord { record, exchange }))
}

/// What was said; `None` when nothing is kept, or the record is gone.
pub(super) async fn exchange(on: &mut dyn AsConn, id: &str) -> Result<Option<Exchange>> {
    let text: Option<Option<Vec<u8>>> = on_db!(on, |c| sqlx::query_scalar(EXCHANGE).bind(id).fetch_optional(c).await)?;
    let read = |text: Vec<u8>| serde_json::from_slice(&text).map_err(|error| sqlx::Error::Decode(error.into()));
    text.flatten().map(read).transpose()
}
