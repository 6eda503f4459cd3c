//! How Nacos' clients prove who they are: a token that a sign-in gave, or name and password with each request.
//!
//! An API token may stand where the password does, for clients that know nothing else. Who signed in with a name and a
//! password is remembered for as long as the token is good, so that a beat costs no hashing; what was taken back is taken
//! back here too, because the token is looked at with each request as everywhere.

mod routes;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

pub(super) use routes::{admit, fields, routes};

use crate::{
    app::App,
    clock::Timestamp,
    gateway::SignIn,
    http::{
        auth::{API_TOKEN_PREFIX, Source, fingerprint},
        error::ApiResult,
    },
};

/// How many sign-ins are remembered.
const REMEMBERED: usize = 10_000;

/// What lets Nacos' clients in. Clones share it.
#[derive(Clone)]
pub struct Door {
    app: App,
    sign_in: SignIn,
    known: Arc<Mutex<HashMap<String, (String, Timestamp)>>>,
}

impl Door {
    /// A door that lets in whom `sign_in` does.
    pub fn new(app: &App, sign_in: SignIn) -> Self {
        Self { app: app.clone(), sign_in, known: Arc::default() }
    }

    /// The token of somebody who sends name and password with each request.
    async fn token(&self, source: Source, username: &str, password: &str) -> ApiResult<String> {
        if password.starts_with(API_TOKEN_PREFIX) {
            return Ok(password.to_owned());
        }
        let key = fingerprint(&format!("{username}\0{password}"));
        let now = self.app.clock.now();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some((token, _)) = known.filter(|(_, until)| *until > now) {
            return Ok(token);
        }
        let grant = (self.sign_in)(self.app.clone(), source, username.to_owned(), password.to_owned()).await?;
        // One half of its time: nobody is turned away for a token that ran out under way.
        let until = now.plus(std::time::Duration::from_secs(grant.seconds.unsigned_abs() / 2));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, (_, until)| *until > now);
        }
        if known.len() < REMEMBERED {
            known.insert(key, (grant.access_token.clone(), until));
        }
        Ok(grant.access_token)
    }

    /// A token turned out not to be good any more.
    fn forget(&self, token: &str) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.len();
        known.retain(|_, (own, _)| own != token);
        known.len() != before
    }
}
