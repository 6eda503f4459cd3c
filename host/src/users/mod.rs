//! Users: who may sign in, with which role; their sessions and API tokens.
//!
//! What `http::auth` checks with each request is memory, kept true from here by way of the feed: a role that is taken away
//! counts with the next request, on every replica. No secret is ever stored or put on the feed, only what proves it.
//!
//! Read on in `types`, `password`, `hashers`, `queries`, `order` (of a list), `sessions` (sign-in), `tokens`, `routes`.

mod hashers;
mod order;
mod password;
mod queries;
mod routes;
mod sessions;
mod tokens;
mod types;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures_util::future::BoxFuture;

use crate::{
    app::App,
    clock::Clock,
    db::{AsConn, Db},
    feed::{Actor, Change, Changes, Feed, Op},
    http::{
        auth::{Auth, Grant, KnownUser, Role, Source},
        error::ApiResult,
    },
    ids::{Ids, RequestId, UserId},
    settings::files,
};

pub(crate) use queries::{POSTGRES, SQLITE, STATEMENTS};
pub use routes::routes;
pub(crate) use sessions::STATEMENTS as SESSION_STATEMENTS;
pub(crate) use tokens::STATEMENTS as TOKEN_STATEMENTS;
pub use types::{User, UserStatus};

/// Users of this server. Clones share them.
#[derive(Clone)]
pub struct Users {
    hashers: hashers::Hashers,
    limit: Arc<sessions::LoginLimit>,
    /// Verified against when a name is not known, so that the answer takes as long.
    decoy: Arc<str>,
}

impl Users {
    /// Keeps `auth` true from the feed. `failures` failed sign-ins a minute are allowed.
    pub fn new(feed: &Feed, auth: &Auth, clock: &Clock, ids: &Ids, failures: u32) -> anyhow::Result<Self> {
        let users = auth.clone();
        feed.on(types::USERS, move |change| apply_user(&users, change));
        let sessions = auth.clone();
        feed.on(sessions::SESSIONS, move |change| sessions::apply(&sessions, change));
        let tokens = auth.clone();
        feed.on(tokens::TOKENS, move |change| tokens::apply(&tokens, change));
        Ok(Self {
            hashers: hashers::Hashers::new(),
            limit: Arc::new(sessions::LoginLimit::new(clock.clone(), failures)),
            decoy: password::hash(&ids.secret::<16>(), &ids.random())?.into(),
        })
    }
}

/// Signs in with a name and a password, for surfaces that speak another protocol.
pub fn sign_in(app: App, source: Source, username: String, password: String) -> BoxFuture<'static, ApiResult<Grant>> {
    Box::pin(sessions::sign_in(app, source, username, password))
}

/// Fills `auth` from the database, as `on` sees it.
pub async fn load(on: &mut dyn AsConn, auth: &Auth) -> anyhow::Result<()> {
    let users = queries::all(on).await?;
    let sessions = sessions::all(on).await?;
    let tokens = tokens::all(on).await?;
    auth.update(|known| {
        known.users = users.into_iter().map(|user| (user.user_id.clone(), known_user(&user))).collect();
        known.sessions = sessions;
        known.tokens = tokens;
    });
    Ok(())
}

/// Starts what it does by itself.
pub fn start(app: &App) {
    let own = app.clone();
    app.tasks.every("users.prune", Duration::from_secs(600), move || {
        let app = own.clone();
        async move {
            sessions::prune(&app).await?;
            tokens::prune(&app).await
        }
    });
}

fn known_user(user: &User) -> KnownUser {
    KnownUser { username: user.username.clone(), role: user.role, active: user.status == UserStatus::Active }
}

fn apply_user(auth: &Auth, change: &Change) {
    let id = UserId::from(change.key.as_str());
    match change.op {
        Op::Delete => auth.update(|known| {
            known.users.remove(&id);
            known.sessions.retain(|_, (user, _)| *user != id);
            known.tokens.retain(|_, token| token.user_id != id);
        }),
        Op::Put => {
            if let Some(user) = change.read::<User>() {
                auth.update(|known| drop(known.users.insert(id, known_user(&user))));
            }
        }
    }
}

/// Makes the first administrator where there is no user yet: with `password`, or with a random one that is written to
/// `file`, which its owner alone can read. Gives the file if one was written. Of several replicas that start at once one
/// makes it; the others write nothing.
pub async fn ensure_administrator<'f>(
    db: &Db,
    feed: &Feed,
    ids: &Ids,
    clock: &Clock,
    password: Option<String>,
    file: &'f Path,
) -> anyhow::Result<Option<&'f Path>> {
    let mut tx = db.write().await?;
    if queries::any(&mut tx).await? {
        return Ok(None);
    }
    let given = password.is_some();
    let password = password.unwrap_or_else(|| ids.secret::<18>());
    let hash = password::hash(&password, &ids.random()).context("could not hash the first password")?;
    let user = User::new(UserId(ids.next()), "admin".to_owned(), None, Role::Admin, clock.now());
    // Waits for whoever makes one at the same moment.
    if !queries::insert_if_new(&mut tx, &user, &hash).await? {
        return Ok(None);
    }
    // Before the commit: a password that opens nothing yet can be written anew, one that nobody has is lost.
    if !given {
        files::write_private(file, &format!("{password}\n"))?;
    }
    let actor = Actor { name: "system:start".to_owned(), source: String::new(), request: RequestId(String::new()) };
    let mut changes = Changes::by(actor);
    changes.put(types::USERS, user.user_id.0.clone(), None, &user);
    feed.commit(tx, changes).await?;
    Ok((!given).then_some(file))
}
