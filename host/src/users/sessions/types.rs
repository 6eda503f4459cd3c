//! What a session is, and the bodies of signing in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    clock::Timestamp,
    feed::Topic,
    http::auth::Role,
    ids::{SessionId, UserId},
};

/// Sessions, for the replicas alone.
pub const SESSIONS: Topic = Topic { name: "sessions", scope: None };

/// One sign-in of one user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Session {
    /// Its key.
    pub session_id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// The address that signed in.
    pub source: String,
    /// How often its refresh token was rotated.
    pub generation: i64,
    /// When it ends unless it is refreshed.
    pub expires_at: Timestamp,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub updated_at: Timestamp,
}

/// `POST /auth/login`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

/// `POST /auth/refresh`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token that came last.
    pub refresh_token: String,
}

/// What signing in gives.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Tokens {
    /// For the `Authorization` header.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds until the access token is no longer good.
    pub expires_in: i64,
    /// Good once, for new tokens.
    pub refresh_token: String,
}

/// Who is asking.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// Their key.
    pub user_id: UserId,
    /// Their name.
    pub username: String,
    /// Their role.
    pub role: Role,
    /// Scopes, for a token; absent for somebody who signed in.
    pub scopes: Option<Vec<String>>,
}
