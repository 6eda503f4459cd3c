//! What an API token is, and the bodies and queries about tokens.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    clock::Timestamp,
    db::Json,
    feed::Topic,
    http::{
        auth::{Caller, Scope},
        error::Faults,
    },
    ids::{ServiceId, TokenId, UserId},
};

/// API tokens, for the replicas alone.
pub const TOKENS: Topic = Topic { name: "tokens", scope: None };

/// What is to be seen of a token: not the token itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct ApiToken {
    /// Its key.
    pub token_id: TokenId,
    /// What its user calls it.
    pub name: String,
    /// On whose behalf it speaks.
    pub user_id: UserId,
    /// What it may do, as long as its user may.
    #[schema(value_type = Vec<Scope>)]
    pub scopes: Json<Vec<Scope>>,
    /// The one service that it speaks for; any when absent.
    pub service_id: Option<ServiceId>,
    /// The name of the services that it speaks for; any when absent.
    pub service_name: Option<String>,
    /// Until when it is good; for good when absent.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A token as it is stored, with what proves it.
#[derive(Serialize, Deserialize, sqlx::FromRow)]
pub struct Stored {
    /// The token.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub token: ApiToken,
    /// Its SHA-256, in hexadecimal.
    pub token_hash: String,
}

/// A token that was just made: the one time that it is shown.
#[derive(Serialize, ToSchema)]
pub struct MadeToken {
    /// For the `Authorization` header.
    pub token: String,
    /// What stays to be seen of it.
    #[serde(flatten)]
    pub shown: ApiToken,
}

/// `POST /tokens`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What to call it, 1 to 100 characters.
    pub name: String,
    /// What it may do; nothing that its user may not.
    pub scopes: Vec<Scope>,
    /// Binds it to one service.
    pub service_id: Option<ServiceId>,
    /// Binds it to services of one name.
    pub service_name: Option<String>,
    /// Until when it is good; for good when absent.
    pub expires_at: Option<Timestamp>,
}

impl NewToken {
    /// Everything that is wrong with it, when `who` asks for it at `now`.
    pub fn faults(&self, who: &Caller, now: Timestamp) -> Faults {
        let mut faults = Faults::new();
        faults.name("/name", &self.name, 100);
        for (i, scope) in self.scopes.iter().enumerate() {
            let pointer = format!("/scopes/{i}");
            faults.check(who.may(*scope), &pointer, || format!("the role {} does not have {scope}", who.role));
            faults.check(!self.scopes[..i].contains(scope), &pointer, || "is there twice".to_owned());
        }
        if let Some(id) = &self.service_id {
            faults.name("/service_id", id.as_str(), 100);
        }
        if let Some(name) = &self.service_name {
            faults.name("/service_name", name, 100);
        }
        faults.check(self.expires_at.is_none_or(|at| at > now), "/expires_at", || "must be in the future".to_owned());
        faults
    }
}

/// `GET /tokens`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TokenQuery {
    /// Of this user; of everybody when an administrator leaves it out, one's own when others do.
    #[param(value_type = Option<String>)]
    pub user_id: Option<UserId>,
    /// At most this many, 1 to 1000; 100 when absent.
    pub limit: Option<i64>,
    /// The `next` of the page before.
    pub after: Option<String>,
}
