//! HTTP of records.

use axum::{
    Json,
    extract::{Path, State},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    alerts::types::RuleId,
    app::App,
    http::{
        auth::AlertsRead,
        error::{ApiResult, OrNotFound as _, Problem},
        page::{self, Page, PageQuery, Params},
    },
    plugins::records::{self, Record, WholeRecord},
};

/// After every key.
const NEWEST: &str = "~";

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_records)).routes(routes!(get_record))
}

/// Lists the calls to its evaluator that a rule keeps, latest first.
#[utoipa::path(get, path = "/alert-rules/{id}/records", tag = "alerts", params(("id" = String, Path), PageQuery), responses((status = 200, body = Page<Record>), (status = 404, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:read"))))]
async fn list_records(
    _: AlertsRead,
    State(app): State<App>,
    Path(id): Path<RuleId>,
    Params(PageQuery { limit, after }): Params<PageQuery>,
) -> ApiResult<Json<Page<Record>>> {
    app.alerts.rule(&id).or_not_found("alert rule")?;
    let limit = page::limit(limit)?;
    let before = page::cursor::<String>(after.as_deref())?.unwrap_or_else(|| NEWEST.to_owned());
    let asked = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let items = records::list(&mut app.db.read().await?, id.as_str(), &before, asked).await?;
    Ok(Json(Page::new(items, limit, |record| record.record_id.clone())))
}

/// Reads one of them: what the evaluator was given, and what it said.
#[utoipa::path(get, path = "/alert-rules/{id}/records/{record_id}", tag = "alerts", params(("id" = String, Path), ("record_id" = String, Path)), responses((status = 200, body = WholeRecord), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("alerts:read"))))]
async fn get_record(
    _: AlertsRead,
    State(app): State<App>,
    Path((id, record_id)): Path<(RuleId, String)>,
) -> ApiResult<Json<WholeRecord>> {
    app.alerts.rule(&id).or_not_found("alert rule")?;
    let record = records::whole(&mut app.db.read().await?, id.as_str(), &record_id).await?;
    Ok(Json(record.or_not_found("record")?))
}
