//! API tokens: made by a user, for a program that speaks on the user's behalf.
//!
//! A token may do what its scopes say and never more than its user may at that moment. It is shown once, when it is made;
//! what is stored, and what the feed tells the replicas, is its SHA-256, which opens nothing.

mod queries;
mod routes;
mod types;

use std::collections::HashMap;

use crate::{
    app::App,
    db::{AsConn, Result},
    feed::{Change, Changes, Op},
    http::auth::{Auth, Binding, KnownToken},
    ids::TokenId,
};

pub(crate) use queries::STATEMENTS;
pub(super) use routes::routes;
pub(super) use types::TOKENS;
use types::{ApiToken, Stored};

/// Every token, by its SHA-256.
pub(super) async fn all(on: &mut dyn AsConn) -> Result<HashMap<String, KnownToken>> {
    Ok(queries::all(on).await?.into_iter().map(known).collect())
}

/// Deletes tokens that have run out.
pub(super) async fn prune(app: &App) -> anyhow::Result<()> {
    let now = app.clock.settled()?;
    let mut tx = app.db.write().await?;
    let mut changes = Changes::unaudited();
    for ended in queries::delete_expired(&mut tx, now).await? {
        changes.delete_quietly(TOKENS, ended.0);
    }
    app.feed.commit(tx, changes).await?;
    Ok(())
}

/// Applies a change of a token to what requests are checked against.
pub(super) fn apply(auth: &Auth, change: &Change) {
    let id = TokenId::from(change.key.as_str());
    match (change.op, change.read::<Stored>()) {
        (Op::Put, Some(stored)) => {
            let (hash, token) = known(stored);
            auth.update(|known| drop(known.tokens.insert(hash, token)));
        }
        _ => auth.update(|known| known.tokens.retain(|_, token| token.token_id != id)),
    }
}

fn known(stored: Stored) -> (String, KnownToken) {
    let Stored { token, token_hash } = stored;
    let ApiToken { token_id, name: _, user_id, scopes, service_id, service_name, expires_at, created_at: _ } = token;
    let binding = Binding { service_id, service_name };
    (token_hash, KnownToken { token_id, user_id, scopes: scopes.0, binding, expires_at })
}
