//! What a user is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{clock::Timestamp, db::Json, feed::Topic, http::auth::Role, ids::UserId, text_enum};

/// Users, for the replicas alone.
pub const USERS: Topic = Topic { name: "users", scope: None };

text_enum! {
    /// Whether a user may sign in.
    pub enum UserStatus {
        /// Yes.
        Active = "active",
        /// No: not in use.
        Inactive = "inactive",
        /// No: kept out.
        Suspended = "suspended",
    }
}

/// Somebody who signs in. The password is no part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct User {
    /// Its key.
    pub user_id: UserId,
    /// The name that signs in.
    pub username: String,
    /// Where to write to.
    pub email: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Names of what else it may do, for the organisation's own use.
    #[schema(value_type = Vec<String>)]
    pub permissions: Json<Vec<String>>,
    /// Whether it may sign in.
    pub status: UserStatus,
    /// When it last did.
    pub last_login: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl User {
    /// One that may sign in, made at `now`.
    pub fn new(user_id: UserId, username: String, email: Option<String>, role: Role, now: Timestamp) -> Self {
        Self {
            user_id,
            username,
            email,
            role,
            permissions: Json::default(),
            status: UserStatus::Active,
            last_login: None,
            created_at: now,
            updated_at: now,
        }
    }
}
