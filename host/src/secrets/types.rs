//! What is known of a secret beside its value.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::memory::SHORTEST;
use crate::{clock::Timestamp, feed::Topic, http::error::Faults, id};

/// Secrets, for the replicas alone: names and versions, and no values.
pub const SECRETS: Topic = Topic { name: "secrets", scope: None };

const LONGEST: usize = 64 << 10;

id! {
    /// The name of a secret, as plugins and grants name it.
    SecretName,
}

/// A secret, as it is shown: everything but its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow, ToSchema)]
pub struct Secret {
    /// Its name.
    #[sqlx(rename = "secret_name")]
    #[schema(value_type = String)]
    pub name: SecretName,
    /// Rises by one with each value that it is given.
    pub version: i64,
    /// Who gave it that value.
    pub updated_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was given that value.
    pub updated_at: Timestamp,
}

/// A secret, and whether this server can use it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownSecret {
    /// The secret.
    #[serde(flatten)]
    pub secret: Secret,
    /// Why this server cannot use it, in words; null when it can.
    pub error: Option<String>,
}

/// A row.
#[derive(Clone, sqlx::FromRow)]
pub struct Stored {
    /// What is shown.
    #[sqlx(flatten)]
    pub secret: Secret,
    /// The value, sealed.
    pub sealed: String,
    /// Under which key.
    pub key_id: String,
}

/// A value for a secret. It has no `Debug`: it is never shown.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewValue {
    /// The value: 6 to 65536 bytes of text.
    pub value: String,
}

impl NewValue {
    /// What is wrong with it as the value of `name`.
    pub fn faults(&self, name: &SecretName) -> Faults {
        let mut faults = Faults::new();
        let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        let text = name.as_str();
        if text.len() > 255 || !text.bytes().all(allowed) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            let form = "is not a name: use 1 to 255 letters, digits, `.`, `_` and `-`, a letter or digit first";
            faults.add("/name", form);
        }
        if !(SHORTEST..=LONGEST).contains(&self.value.len()) {
            faults.add("/value", format!("has {SHORTEST} to {LONGEST} bytes: a shorter one is guessed"));
        }
        if self.value.contains('\0') {
            faults.add("/value", "has no NUL in it");
        }
        faults
    }
}

/// Which page of secrets.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// At most this many, 1 to 1000; 100 when absent.
    pub limit: Option<i64>,
    /// The `next` of the page before.
    pub after: Option<String>,
}
