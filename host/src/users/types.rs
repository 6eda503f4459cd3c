//! What a user is, and the bodies and queries about users.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::password;
use crate::{
    clock::Timestamp,
    db::Json,
    feed::Topic,
    http::{auth::Role, error::Faults},
    ids::UserId,
    text_enum,
};

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
    /// What of it is a version: signing in makes no new one.
    pub fn version(&self) -> Self {
        Self { last_login: None, ..self.clone() }
    }

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

/// `POST /users`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The name that signs in, 1 to 100 characters; space around it is taken off.
    pub username: String,
    /// 12 to 1024 characters.
    pub password: String,
    /// What it may do.
    pub role: Role,
    /// Where to write to.
    pub email: Option<String>,
    /// Names of what else it may do, for the organisation's own use.
    #[serde(default)]
    pub permissions: Vec<String>,
}

impl NewUser {
    /// Everything that is wrong with it.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::new();
        faults.name("/username", &self.username, 100);
        check_password(&mut faults, &self.password);
        check_email(&mut faults, self.email.as_deref());
        check_permissions(&mut faults, &self.permissions);
        faults
    }
}

/// What `PATCH /users/{user_id}` changes.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WritableUser {
    /// What it may do.
    pub role: Role,
    /// Whether it may sign in; anything but `active` ends its sessions.
    pub status: UserStatus,
    /// Where to write to.
    pub email: Option<String>,
    /// Names of what else it may do, for the organisation's own use.
    #[serde(default)]
    pub permissions: Vec<String>,
}

impl WritableUser {
    /// Everything that is wrong with it.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::new();
        check_email(&mut faults, self.email.as_deref());
        check_permissions(&mut faults, &self.permissions);
        faults
    }
}

/// `PUT /users/{user_id}/password`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// The new one, 12 to 1024 characters.
    pub password: String,
    /// The one in use. An administrator may leave it out; it must be right when it is sent.
    pub current_password: Option<String>,
}

impl NewPassword {
    /// Everything that is wrong with it.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::new();
        check_password(&mut faults, &self.password);
        faults
    }
}

/// What a user may do beside its role, for the organisation's own use.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// Their names, at most 1000.
    pub permissions: Vec<String>,
}

impl Permissions {
    /// Everything that is wrong with them.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::new();
        check_permissions(&mut faults, &self.permissions);
        faults
    }
}

/// `GET /users`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UserQuery {
    /// With this role.
    pub role: Option<Role>,
    /// With this status.
    pub status: Option<UserStatus>,
    /// Of this name.
    pub username: Option<String>,
    /// `username`, `role`, `status`, `created_at`, `updated_at`, `last_login`; with `-` in front downwards.
    pub sort: Option<String>,
    /// At most this many, 1 to 1000; 100 when absent.
    pub limit: Option<i64>,
    /// The `next` of the page before.
    pub after: Option<String>,
}

fn check_password(faults: &mut Faults, password: &str) {
    let length = password.chars().count();
    let (shortest, longest) = (password::SHORTEST, password::LONGEST);
    faults.check((shortest..=longest).contains(&length), "/password", || {
        format!("must have {shortest} to {longest} characters, has {length}")
    });
}

/// One `@` between a part before it and a domain; whether anybody reads there, only a mail can tell.
fn check_email(faults: &mut Faults, email: Option<&str>) {
    let Some(email) = email else { return };
    let sane = |(local, domain): (&str, &str)| {
        !local.is_empty() && !domain.is_empty() && !domain.starts_with('.') && !domain.ends_with('.')
    };
    let plain = !email.chars().any(|c| c.is_whitespace() || c.is_control());
    let one_at = email.matches('@').count() == 1 && email.split_once('@').is_some_and(sane);
    faults.check(plain && one_at, "/email", || "is not an e-mail address".to_owned());
    faults.check(email.len() <= 254, "/email", || "must have at most 254 bytes".to_owned());
}

fn check_permissions(faults: &mut Faults, permissions: &[String]) {
    faults.check(permissions.len() <= 1000, "/permissions", || "must be at most 1000".to_owned());
    let mut seen = std::collections::HashSet::new();
    for (i, permission) in permissions.iter().enumerate() {
        let pointer = format!("/permissions/{i}");
        faults.name(&pointer, permission, 200);
        faults.check(seen.insert(permission), &pointer, || "is there twice".to_owned());
    }
}
