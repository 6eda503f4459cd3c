//! SQL of rules.

use super::types::{Health, Rule, RuleSpec};
use crate::{
    alerts::types::RuleId,
    clock::Timestamp,
    db::{self, AsConn, Result, Tx},
    on_db, statements,
};

macro_rules! columns {
    () => {
        "rule_id, rule_name, service_type, metric_name, comparison_operator, threshold_value, severity, enabled, interval_seconds, \
         for_seconds, keep_firing_seconds, evaluator, config, labels, message, record, created_at, updated_at"
    };
}

statements! { STATEMENTS:
    ALL = concat!("SELECT ", columns!(), " FROM alert_rules WHERE deleted_at IS NULL");
    FIND = concat!("SELECT ", columns!(), " FROM alert_rules WHERE rule_id = $1 AND deleted_at IS NULL");
    PUT = concat!("INSERT INTO alert_rules (", columns!(), ") \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
        ON CONFLICT (rule_id) DO UPDATE SET rule_name = excluded.rule_name, service_type = excluded.service_type, \
        metric_name = excluded.metric_name, comparison_operator = excluded.comparison_operator, \
        threshold_value = excluded.threshold_value, severity = excluded.severity, enabled = excluded.enabled, \
        interval_seconds = excluded.interval_seconds, for_seconds = excluded.for_seconds, \
        keep_firing_seconds = excluded.keep_firing_seconds, evaluator = excluded.evaluator, config = excluded.config, \
        labels = excluded.labels, message = excluded.message, record = excluded.record, updated_at = excluded.updated_at");
    DELETE = "UPDATE alert_rules SET deleted_at = $2, enabled = FALSE WHERE rule_id = $1 AND deleted_at IS NULL";
    HEALTH = "SELECT last_evaluated_at, last_error FROM alert_rule_health WHERE rule_id = $1";
    ALL_HEALTH = "SELECT rule_id, last_evaluated_at, last_error FROM alert_rule_health";
    PUT_HEALTH = "INSERT INTO alert_rule_health (rule_id, last_evaluated_at, last_error) VALUES ($1, $2, $3) \
        ON CONFLICT (rule_id) DO UPDATE SET last_evaluated_at = excluded.last_evaluated_at, last_error = excluded.last_error";
}

#[derive(sqlx::FromRow)]
struct OfRule {
    rule_id: RuleId,
    #[sqlx(flatten)]
    health: Health,
}

pub(crate) async fn all(on: &mut dyn AsConn) -> Result<Vec<Rule>> {
    on_db!(on, |c| sqlx::query_as(ALL).fetch_all(c).await)
}

pub(super) async fn find(on: &mut dyn AsConn, id: &RuleId) -> Result<Option<Rule>> {
    db::find(on, FIND, id.as_str()).await
}

/// As `find`, and nobody else changes it before the transaction ends.
pub(super) async fn lock(tx: &mut Tx, id: &RuleId) -> Result<Option<Rule>> {
    db::lock(tx, FIND, id.as_str()).await
}

/// Makes or replaces one.
pub(super) async fn put(tx: &mut Tx, rule: &Rule) -> Result<()> {
    let Rule { rule_id, spec, created_at, updated_at } = rule;
    let RuleSpec { rule_name, service_type, metric_name, comparison_operator, threshold_value, severity, .. } = spec;
    let RuleSpec { enabled, interval_seconds, for_seconds, keep_firing_seconds, evaluator, config, .. } = spec;
    let RuleSpec { labels, message, record, .. } = spec;
    on_db!(tx, |c| sqlx::query(PUT)
        .bind(rule_id)
        .bind(rule_name)
        .bind(service_type)
        .bind(metric_name)
        .bind(comparison_operator)
        .bind(threshold_value)
        .bind(severity)
        .bind(enabled)
        .bind(interval_seconds)
        .bind(for_seconds)
        .bind(keep_firing_seconds)
        .bind(evaluator)
        .bind(config)
        .bind(labels)
        .bind(message)
        .bind(record)
        .bind(created_at)
        .bind(updated_at)
        .execute(c)
        .await
        .map(drop))
}

/// Marks one as deleted: its alerts go on referring to it.
pub(super) async fn delete(tx: &mut Tx, id: &RuleId, now: Timestamp) -> Result<()> {
    on_db!(tx, |c| sqlx::query(DELETE).bind(id).bind(now).execute(c).await.map(drop))
}

/// How a rule fared, as far as that was written down.
pub(crate) async fn health(on: &mut dyn AsConn, id: &RuleId) -> Result<Option<Health>> {
    on_db!(on, |c| sqlx::query_as(HEALTH).bind(id).fetch_optional(c).await)
}

/// How every rule fared.
pub(crate) async fn all_health(on: &mut dyn AsConn) -> Result<Vec<(RuleId, Health)>> {
    let rows: Vec<OfRule> = on_db!(on, |c| sqlx::query_as(ALL_HEALTH).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|OfRule { rule_id, health }| (rule_id, health)).collect())
}

pub(crate) async fn put_health(tx: &mut Tx, id: &RuleId, health: &Health) -> Result<()> {
    let Health { last_evaluated_at, last_error } = health;
    on_db!(tx, |c| sqlx::query(PUT_HEALTH).bind(id).bind(last_evaluated_at).bind(last_error).execute(c).await.map(drop))
}
