//! HTTP of rules.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    queries,
    types::{RULES, Rule, RuleShown, RuleSpec},
};
use crate::{
    alerts::{
        evaluation::{self, TestResult},
        queries as alerts,
        types::RuleId,
    },
    app::App,
    feed::Changes,
    http::{
        auth::{AlertsRead, AlertsWrite},
        body::{Body, Patch},
        error::{ApiResult, OrNotFound as _, Problem},
        etag::{self, Conditions},
        page::{Page, PageQuery, Params},
    },
    notify,
    plugins::{Kind, records},
};

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_rule, list_rules))
        .routes(routes!(get_rule, put_rule, patch_rule, delete_rule))
        .routes(routes!(test_rule))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only the rule of this name.
    rule_name: Option<String>,
    /// Only rules that watch this metric.
    metric_name: Option<String>,
    /// Only rules that are switched on, or only those that are not.
    enabled: Option<bool>,
    /// At most this many, 1 to 1000; 100 when absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
}

async fn check(app: &App, spec: &RuleSpec) -> ApiResult<()> {
    let mut faults = spec.faults();
    if faults.is_empty() && !spec.is_of_host() {
        let named = ("/evaluator", spec.evaluator.as_str());
        app.plugins.check_named(Kind::AlertEvaluator, named, &spec.config_text(), &mut faults).await;
    }
    Ok(faults.finish()?)
}

async fn shown(app: &App, rule: &Rule) -> ApiResult<RuleShown> {
    let here = app.alerts.health(&rule.rule_id);
    let stored = queries::health(&mut app.db.read().await?, &rule.rule_id).await?;
    let health = here.into_iter().chain(stored).max_by_key(|health| health.last_evaluated_at).unwrap_or_default();
    Ok(RuleShown { rule: rule.clone(), health })
}

/// Makes a rule.
#[utoipa::path(post, path = "/alert-rules", tag = "alerts", request_body = RuleSpec, responses((status = 201, body = RuleShown), (status = 409, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn create_rule(who: AlertsWrite, State(app): State<App>, Body(spec): Body<RuleSpec>) -> ApiResult<Response> {
    check(&app, &spec).await?;
    let now = app.clock.now();
    let rule = Rule { rule_id: RuleId(app.ids.next()), spec, created_at: now, updated_at: now };
    let mut tx = app.db.write().await?;
    queries::put(&mut tx, &rule).await?;
    let mut changes = Changes::by(who.actor());
    changes.put(RULES, rule.rule_id.0.clone(), None, &rule);
    app.feed.commit(tx, changes).await?;
    let location = format!("/api/v1/alert-rules/{}", rule.rule_id);
    etag::created(&location, RuleShown { rule, health: super::Health::default() })
}

/// Lists rules, by name.
#[utoipa::path(get, path = "/alert-rules", tag = "alerts", params(Query), responses((status = 200, body = Page<RuleShown>), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:read"))))]
async fn list_rules(
    _: AlertsRead,
    State(app): State<App>,
    Params(query): Params<Query>,
) -> ApiResult<Json<Page<RuleShown>>> {
    let Query { rule_name, metric_name, enabled, limit, after } = query;
    let mut rules = app.alerts.rules();
    rules.retain(|rule| {
        rule_name.as_ref().is_none_or(|name| *name == rule.spec.rule_name)
            && metric_name.as_ref().is_none_or(|name| *name == rule.spec.metric_name)
            && enabled.is_none_or(|enabled| enabled == rule.spec.enabled)
    });
    let page = notify::page_by(rules, &PageQuery { limit, after }, |rule| rule.spec.rule_name.clone())?;
    let Page { items, next } = page;
    let mut seen = Vec::with_capacity(items.len());
    for rule in &items {
        seen.push(shown(&app, rule).await?);
    }
    Ok(Json(Page { items: seen, next }))
}

/// Reads a rule. The `ETag` names what was said of it, not how it fares.
#[utoipa::path(get, path = "/alert-rules/{id}", tag = "alerts", params(("id" = String, Path)), responses((status = 200, body = RuleShown), (status = 304), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("alerts:read"))))]
async fn get_rule(
    _: AlertsRead,
    State(app): State<App>,
    Path(id): Path<RuleId>,
    conditions: Conditions,
) -> ApiResult<Response> {
    let rule = app.alerts.rule(&id).or_not_found("alert rule")?;
    conditions.answer_shown(&*rule, &shown(&app, &rule).await?)
}

/// Replaces what is said of a rule. Its alerts go on if it watches the same series.
#[utoipa::path(put, path = "/alert-rules/{id}", tag = "alerts", params(("id" = String, Path)), request_body = RuleSpec, responses((status = 200, body = RuleShown), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn put_rule(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<RuleId>,
    conditions: Conditions,
    Body(spec): Body<RuleSpec>,
) -> ApiResult<Json<RuleShown>> {
    replace(&app, &who, &id, &conditions, |_| Ok(spec.clone())).await
}

/// Changes what the patch names.
#[utoipa::path(patch, path = "/alert-rules/{id}", tag = "alerts", params(("id" = String, Path)), request_body(content = Object, content_type = "application/merge-patch+json"), responses((status = 200, body = RuleShown), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn patch_rule(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<RuleId>,
    conditions: Conditions,
    patch: Patch,
) -> ApiResult<Json<RuleShown>> {
    replace(&app, &who, &id, &conditions, |current| patch.apply(current)).await
}

async fn replace(
    app: &App,
    who: &AlertsWrite,
    id: &RuleId,
    conditions: &Conditions,
    change: impl Fn(&RuleSpec) -> ApiResult<RuleSpec>,
) -> ApiResult<Json<RuleShown>> {
    let mut before = queries::find(&mut app.db.read().await?, id).await?.or_not_found("alert rule")?;
    loop {
        conditions.allow_write(&before)?;
        let spec = change(&before.spec)?;
        // No transaction waits for a plugin: what it was asked about may have changed when it has answered.
        check(app, &spec).await?;
        let mut tx = app.db.write().await?;
        let stored = queries::lock(&mut tx, id).await?.or_not_found("alert rule")?;
        if stored != before {
            before = stored;
            continue;
        }
        let after = Rule { spec, updated_at: app.clock.now(), ..before.clone() };
        queries::put(&mut tx, &after).await?;
        if after.spec.record < before.spec.record {
            records::prune(&mut tx, id.as_str()).await?;
        }
        if after.spec.evaluator != before.spec.evaluator || after.spec.config != before.spec.config {
            // What was remembered under another configuration would mislead.
            alerts::forget_states(&mut tx, id).await?;
        }
        let mut changes = Changes::by(who.actor());
        changes.put(RULES, id.0.clone(), Some(&before), &after);
        app.feed.commit(tx, changes).await?;
        return Ok(Json(shown(app, &after).await?));
    }
}

/// Deletes a rule; its alerts are over within a second.
#[utoipa::path(delete, path = "/alert-rules/{id}", tag = "alerts", params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem), (status = 412, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn delete_rule(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<RuleId>,
    conditions: Conditions,
) -> ApiResult<StatusCode> {
    let mut tx = app.db.write().await?;
    let rule = queries::lock(&mut tx, &id).await?.or_not_found("alert rule")?;
    conditions.allow_write(&rule)?;
    queries::delete(&mut tx, &id, app.clock.now()).await?;
    records::forget(&mut tx, id.as_str()).await?;
    let mut changes = Changes::by(who.actor());
    changes.delete(RULES, id.0.clone(), &rule);
    app.feed.commit(tx, changes).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Evaluates a rule now, on the points that are there: nothing is recorded, nobody is told.
#[utoipa::path(post, path = "/alert-rules/{id}/test", tag = "alerts", params(("id" = String, Path)), responses((status = 200, body = TestResult), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn test_rule(_: AlertsWrite, State(app): State<App>, Path(id): Path<RuleId>) -> ApiResult<Json<TestResult>> {
    let rule = app.alerts.rule(&id).or_not_found("alert rule")?;
    Ok(Json(evaluation::test(&app, &rule).await?))
}
