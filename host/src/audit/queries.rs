//! SQL of the audit. Rows are found by time, or by what narrows them most; every other filter is tested on the way.

use super::types::AuditLog;
use crate::{
    clock::Timestamp,
    db::{AsConn, Result},
    on_db, statements,
};

macro_rules! page {
    ($narrow:literal) => {
        concat!(
            "SELECT audit_id, actor, action, resource_type, resource_id, before_value, after_value, source, request_id, \
            created_at FROM audit_logs WHERE (created_at, audit_id) < ($1, $2) AND created_at >= $3 AND ",
            $narrow,
            " AND (CAST($4 AS TEXT) IS NULL OR actor = $4) AND (CAST($5 AS TEXT) IS NULL OR action = $5) \
            AND (CAST($6 AS TEXT) IS NULL OR resource_type = $6) AND (CAST($7 AS TEXT) IS NULL OR resource_id = $7) \
            AND (CAST($8 AS TEXT) IS NULL OR request_id = $8) ORDER BY created_at DESC, audit_id DESC LIMIT $9"
        )
    };
}

statements! { STATEMENTS:
    PAGE = page!("TRUE");
    PAGE_OF_ACTOR = page!("actor = $4");
    PAGE_OF_RESOURCE = page!("resource_type = $6 AND resource_id = $7");
    PAGE_OF_REQUEST = page!("request_id = $8");
}

/// Which entries are asked for.
pub(super) struct Wanted {
    pub actor: Option<String>,
    pub action: Option<String>,
    pub resource_type: Option<String>,
    pub resource_id: Option<String>,
    pub request_id: Option<String>,
    pub from: Timestamp,
    /// Entries older than this, as time and key.
    pub before: (Timestamp, String),
    pub limit: i64,
}

/// The newest entries that fit, newest first.
pub(super) async fn page(on: &mut dyn AsConn, wanted: &Wanted) -> Result<Vec<AuditLog>> {
    let Wanted { actor, action, resource_type, resource_id, request_id, from, before, limit } = wanted;
    let sql = match (request_id, resource_type, resource_id, actor) {
        (Some(_), ..) => PAGE_OF_REQUEST,
        (None, Some(_), Some(_), _) => PAGE_OF_RESOURCE,
        (None, _, _, Some(_)) => PAGE_OF_ACTOR,
        _ => PAGE,
    };
    on_db!(on, |c| sqlx::query_as(sql)
        .bind(before.0)
        .bind(&before.1)
        .bind(from)
        .bind(actor)
        .bind(action)
        .bind(resource_type)
        .bind(resource_id)
        .bind(request_id)
        .bind(limit)
        .fetch_all(c)
        .await)
}
