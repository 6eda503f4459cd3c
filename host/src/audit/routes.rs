//! HTTP of the audit.

use axum::{Json, extract::State};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    queries,
    types::{AuditLog, AuditQuery},
};
use crate::{
    app::App,
    clock::Timestamp,
    http::{
        auth::SystemRead,
        error::{ApiResult, Problem},
        page::{self, Page, Params},
    },
};

/// The routes of the audit.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Lists who changed what, newest first.
#[utoipa::path(get, path = "/audit-logs", tag = "audit", params(AuditQuery), responses((status = 200, body = Page<AuditLog>), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("system:read"))))]
async fn list(
    _: SystemRead,
    State(app): State<App>,
    Params(query): Params<AuditQuery>,
) -> ApiResult<Json<Page<AuditLog>>> {
    let AuditQuery { actor, action, resource_type, resource_id, request_id, from, to, limit, after } = query;
    let limit = page::limit(limit)?;
    let until = (to.unwrap_or(Timestamp::MAX), String::new());
    let before = page::cursor(after.as_deref())?.map_or(until.clone(), |cursor| until.min(cursor));
    let wanted = queries::Wanted {
        actor,
        action,
        resource_type,
        resource_id,
        request_id,
        from: from.unwrap_or(Timestamp::MIN),
        before,
        limit: i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1),
    };
    let items = queries::page(&mut app.db.read().await?, &wanted).await?;
    Ok(Json(Page::new(items, limit, |entry| (entry.created_at, entry.audit_id.clone()))))
}
