//! HTTP of alerts.

use axum::{
    Json,
    extract::{Path, State},
    response::Response,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    queries::{self, Filter},
    types::{ALERTS, Alert, AlertId, AlertShown, Status},
};
use crate::{
    app::App,
    db::Tx,
    feed::Changes,
    http::{
        auth::{AlertsRead, AlertsWrite},
        error::{ApiError, ApiResult, OrNotFound as _, Problem},
        etag::Conditions,
        page::{self, Page, Params},
    },
    notify::{self, Severity},
};

/// After every id.
const NEWEST: &str = "~";

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_alerts))
        .routes(routes!(get_alert))
        .routes(routes!(acknowledge_alert))
        .routes(routes!(resolve_alert))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only those that have come so far.
    status: Option<Status>,
    /// Only those of this rule.
    rule_id: Option<String>,
    /// Only those of this service.
    service_id: Option<String>,
    /// Only those that are so bad.
    alert_level: Option<Severity>,
    /// Only those that are over, or only those that are not.
    resolved: Option<bool>,
    /// At most this many, 1 to 1000; 100 when absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
}

fn shown(app: &App, alert: Alert) -> AlertShown {
    let silenced = !alert.resolved && app.notify.silence_of(&alert.told(), app.clock.now()).is_some();
    AlertShown { alert, silenced }
}

/// Lists alerts, newest first.
#[utoipa::path(get, path = "/alerts", tag = "alerts", params(Query), responses((status = 200, body = Page<AlertShown>), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:read"))))]
async fn list_alerts(
    _: AlertsRead,
    State(app): State<App>,
    Params(query): Params<Query>,
) -> ApiResult<Json<Page<AlertShown>>> {
    let Query { status, rule_id, service_id, alert_level, resolved, limit, after } = query;
    let limit = page::limit(limit)?;
    let before = page::cursor::<String>(after.as_deref())?.unwrap_or_else(|| NEWEST.to_owned());
    let filter = Filter { status, alert_level, resolved, rule_id, service_id };
    let asked = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let items = queries::page(&mut app.db.read().await?, &filter, &before, asked).await?;
    Ok(Json(Page::new(items, limit, |alert| alert.id.0.clone()).map(|alert| shown(&app, alert))))
}

/// Reads an alert.
#[utoipa::path(get, path = "/alerts/{id}", tag = "alerts", params(("id" = String, Path)), responses((status = 200, body = AlertShown), (status = 304), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("alerts:read"))))]
async fn get_alert(
    _: AlertsRead,
    State(app): State<App>,
    Path(id): Path<AlertId>,
    conditions: Conditions,
) -> ApiResult<Response> {
    let alert = queries::find(&mut app.db.read().await?, &id).await?.or_not_found("alert")?;
    conditions.answer(&shown(&app, alert))
}

/// Says that one takes care of an open alert: it is not told again while it goes on.
#[utoipa::path(post, path = "/alerts/{id}/acknowledge", tag = "alerts", params(("id" = String, Path)), responses((status = 200, body = AlertShown), (status = 404, body = Problem), (status = 409, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn acknowledge_alert(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<AlertId>,
) -> ApiResult<Json<AlertShown>> {
    let mut tx = app.db.write().await?;
    let changed = queries::acknowledge(&mut tx, &id, &who.username, app.clock.now()).await?;
    let alert = open_or_refused(&mut tx, &id, changed).await?;
    notify::hush(&mut tx, id.as_str()).await?;
    let mut changes = Changes::by(who.actor());
    changes.put_quietly(ALERTS, id.0.clone(), &alert);
    changes.audit(ALERTS.name, id.as_str(), "acknowledge", None, None);
    app.feed.commit(tx, changes).await?;
    Ok(Json(shown(&app, alert)))
}

/// Ends an open alert. If its rule is still breached, another begins with the next evaluation.
#[utoipa::path(post, path = "/alerts/{id}/resolve", tag = "alerts", params(("id" = String, Path)), responses((status = 200, body = AlertShown), (status = 404, body = Problem), (status = 409, body = Problem)), extensions(("x-looma-access" = json!("alerts:write"))))]
async fn resolve_alert(
    who: AlertsWrite,
    State(app): State<App>,
    Path(id): Path<AlertId>,
) -> ApiResult<Json<AlertShown>> {
    let now = app.clock.now();
    let mut tx = app.db.write().await?;
    let changed = queries::resolve(&mut tx, &id, now).await?;
    let alert = open_or_refused(&mut tx, &id, changed).await?;
    // Nobody was told of one that had not fired yet.
    if alert.fired_at.is_some() {
        notify::enter(&mut tx, &app.notify, &app.ids, now, &[alert.told()]).await?;
    }
    let mut changes = Changes::by(who.actor());
    changes.put_quietly(ALERTS, id.0.clone(), &alert);
    changes.audit(ALERTS.name, id.as_str(), "resolve", None, None);
    app.feed.commit(tx, changes).await?;
    Ok(Json(shown(&app, alert)))
}

/// The alert that was changed; 409 if it was over already, 404 if there is none.
async fn open_or_refused(tx: &mut Tx, id: &AlertId, changed: Option<Alert>) -> ApiResult<Alert> {
    if let Some(alert) = changed {
        return Ok(alert);
    }
    queries::find(tx, id).await?.or_not_found("alert")?;
    Err(ApiError::Conflict("this alert is over".to_owned()))
}
