//! Sessions: signing in, refreshing with rotation, signing out.
//!
//! A refresh token is good once. It is `SESSION.GENERATION.MAC`, the code being HMAC-SHA256 under a key that is derived from
//! the signing key: so an old one is known to have been ours, and its second use ends the session (RFC 9700, section 4.14).

mod limit;
mod queries;
mod routes;
mod token;
mod types;

use std::collections::HashMap;

use crate::{
    app::App,
    clock::Timestamp,
    db::{AsConn, Result, Tx},
    feed::{Change, Changes, Op},
    http::auth::Auth,
    ids::{SessionId, UserId},
};

pub(super) use limit::LoginLimit;
pub(crate) use queries::STATEMENTS;
pub(super) use routes::{routes, sign_in};
pub(super) use types::SESSIONS;
use types::Session;

/// Every session: whose, and until when.
pub(super) async fn all(on: &mut dyn AsConn) -> Result<HashMap<SessionId, (UserId, Timestamp)>> {
    let sessions = queries::all(on).await?;
    Ok(sessions.into_iter().map(|s| (s.session_id, (s.user_id, s.expires_at))).collect())
}

/// Ends the sessions of a user, all but `kept`.
pub(super) async fn end_of_user(
    tx: &mut Tx,
    changes: &mut Changes,
    user: &UserId,
    kept: Option<&SessionId>,
) -> Result<()> {
    for ended in queries::delete_of_user(tx, user, kept.map_or("", SessionId::as_str)).await? {
        changes.delete_quietly(SESSIONS, ended.0);
    }
    Ok(())
}

/// Deletes sessions that have run out.
pub(super) async fn prune(app: &App) -> anyhow::Result<()> {
    let now = app.clock.settled()?;
    let mut tx = app.db.write().await?;
    let ended = queries::delete_expired(&mut tx, now).await?;
    let mut changes = Changes::unaudited();
    for session in ended {
        changes.delete_quietly(SESSIONS, session.session_id.0);
    }
    app.feed.commit(tx, changes).await?;
    Ok(())
}

/// Applies a change of a session to what requests are checked against.
pub(super) fn apply(auth: &Auth, change: &Change) {
    let id = SessionId::from(change.key.as_str());
    match (change.op, change.read::<Session>()) {
        (Op::Put, Some(session)) => auth.update(|known| {
            known.sessions.insert(id, (session.user_id, session.expires_at));
        }),
        _ => auth.update(|known| drop(known.sessions.remove(&id))),
    }
}
