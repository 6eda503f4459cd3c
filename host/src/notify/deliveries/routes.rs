//! HTTP of the delivery log.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    queries::{self, Filter},
    types::{Delivery, DeliveryStatus},
};
use crate::{
    app::App,
    http::{
        auth::AlertsRead,
        error::{ApiResult, OrNotFound as _, Problem},
        page::{self, Page, Params},
    },
};

/// After every id.
const NEWEST: &str = "~";

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_notifications)).routes(routes!(get_notification))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only what went to this channel, by name.
    channel: Option<String>,
    /// Only what this became of.
    status: Option<DeliveryStatus>,
    /// Only what tells of this alert.
    alert_id: Option<String>,
    /// At most this many, 1 to 1000; 100 when absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Lists notifications and what became of them, newest first.
#[utoipa::path(get, path = "/notifications", tag = "alerts", params(Query), responses((status = 200, body = Page<Delivery>), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("alerts:read"))))]
async fn list_notifications(
    _: AlertsRead,
    State(app): State<App>,
    Params(query): Params<Query>,
) -> ApiResult<Json<Page<Delivery>>> {
    let Query { channel, status, alert_id, limit, after } = query;
    let limit = page::limit(limit)?;
    let before = page::cursor::<String>(after.as_deref())?.unwrap_or_else(|| NEWEST.to_owned());
    let filter = Filter { channel: channel.as_deref(), status, alert: alert_id.as_deref() };
    let asked = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let items = queries::page(&mut app.db.read().await?, &filter, &before, asked).await?;
    Ok(Json(Page::new(items, limit, |delivery| delivery.id.clone())))
}

/// Reads a notification.
#[utoipa::path(get, path = "/notifications/{id}", tag = "alerts", params(("id" = String, Path)), responses((status = 200, body = Delivery), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("alerts:read"))))]
async fn get_notification(_: AlertsRead, State(app): State<App>, Path(id): Path<String>) -> ApiResult<Json<Delivery>> {
    Ok(Json(queries::find(&mut app.db.read().await?, &id).await?.or_not_found("notification")?))
}
