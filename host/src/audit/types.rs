//! What an entry of the audit is.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{clock::Timestamp, db::Json, ids::RequestId};

/// One change, and who made it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct AuditLog {
    /// Its key.
    pub audit_id: String,
    /// `user:ID`, `token:ID` or `system:TASK`.
    pub actor: String,
    /// `create`, `update`, `delete`, or a word of that kind of thing's own.
    pub action: String,
    /// The kind of thing, as `/watch` names it.
    pub resource_type: String,
    /// The key of the thing.
    pub resource_id: String,
    /// What it was; absent where there was nothing, and where it is a secret.
    #[sqlx(rename = "before_value")]
    #[schema(value_type = Option<Value>)]
    pub before: Option<Json<Value>>,
    /// What it became; absent where nothing is left, and where it is a secret.
    #[sqlx(rename = "after_value")]
    #[schema(value_type = Option<Value>)]
    pub after: Option<Json<Value>>,
    /// The address that asked; empty for the system.
    pub source: String,
    /// The request; empty for the system.
    #[schema(value_type = String)]
    pub request_id: RequestId,
    /// When.
    pub created_at: Timestamp,
}

/// `GET /audit-logs`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// By this actor.
    pub actor: Option<String>,
    /// Of this kind of action.
    pub action: Option<String>,
    /// On this kind of thing.
    pub resource_type: Option<String>,
    /// On the thing with this key.
    pub resource_id: Option<String>,
    /// In this request.
    pub request_id: Option<String>,
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
    /// At most this many, 1 to 1000; 100 when absent.
    pub limit: Option<i64>,
    /// The `next` of the page before.
    pub after: Option<String>,
}
