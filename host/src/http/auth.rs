//! Who is asking, and what they may do. An extractor in a handler's signature is the permission check.
//!
//! The state here is memory: the domain that owns users loads it and keeps it true, so that a session that is revoked or
//! a role that is taken away counts with the next request, and no request waits for the database. What memory does not know
//! may have come to be on another replica a moment ago: then the feed is read on, within bounds, before the answer is 401.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    extract::{ConnectInfo, FromRef, FromRequestParts},
    http::{header, request::Parts},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    error::{ApiError, ApiResult},
    request::RequestIdOf,
};
use crate::{
    clock::{Clock, Timestamp},
    feed::{self, Actor, Feed, WeakFeed},
    ids::{RequestId, ServiceId, SessionId, TokenId, UserId},
    text_enum,
};

text_enum! {
    /// What somebody who signs in may do.
    pub enum Role {
        /// Reads.
        Viewer = "viewer",
        /// Everything but users, tokens of others, plugin grants and backup.
        Operator = "operator",
        /// Everything.
        Admin = "admin",
    }
}

text_enum! {
    /// What a token may do, a kind of thing and a verb each.
    pub enum Scope {
        /// Read services, nodes and discovery.
        ServicesRead = "services:read",
        /// Register, renew, beat, deregister services and nodes.
        ServicesWrite = "services:write",
        /// Read metrics.
        MetricsRead = "metrics:read",
        /// Send metrics.
        MetricsWrite = "metrics:write",
        /// Read rules, alerts, channels, routes and the delivery log.
        AlertsRead = "alerts:read",
        /// Change them.
        AlertsWrite = "alerts:write",
        /// Read plugins.
        PluginsRead = "plugins:read",
        /// Load and switch plugins.
        PluginsWrite = "plugins:write",
        /// Read configuration and flags.
        ConfigsRead = "configs:read",
        /// Change them.
        ConfigsWrite = "configs:write",
        /// Read talents and what belongs to them.
        TalentsRead = "talents:read",
        /// Change them.
        TalentsWrite = "talents:write",
        /// Read tasks, replicas and the audit.
        SystemRead = "system:read",
    }
}

impl Scope {
    /// The lowest role that has it.
    fn role(self) -> Role {
        if self.as_str().ends_with(":read") { Role::Viewer } else { Role::Operator }
    }
}

/// What a token is bound to, so that a service can speak for itself alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// This service alone.
    pub service_id: Option<ServiceId>,
    /// Services of this name.
    pub service_name: Option<String>,
}

/// A user, as far as permission goes.
#[derive(Clone, Debug)]
pub struct KnownUser {
    /// Their sign-in name.
    pub username: String,
    /// Their role.
    pub role: Role,
    /// Whether they may do anything at all.
    pub active: bool,
}

/// An API token, as far as permission goes.
#[derive(Clone, Debug)]
pub struct KnownToken {
    /// Its id.
    pub token_id: TokenId,
    /// On whose behalf.
    pub user_id: UserId,
    /// What for.
    pub scopes: Vec<Scope>,
    /// For which services.
    pub binding: Binding,
    /// Until when.
    pub expires_at: Option<Timestamp>,
}

/// Users, sessions and tokens in memory, and the key that signs access tokens. Clones share them.
#[derive(Clone)]
pub struct Auth(Arc<Shared>);

struct Shared {
    clock: Clock,
    /// What the feed applies holds this: held fast, neither would ever go.
    feed: WeakFeed,
    key: [u8; 32],
    known: RwLock<Known>,
}

/// What the owner of users keeps true.
#[derive(Default)]
pub struct Known {
    /// By id.
    pub users: HashMap<UserId, KnownUser>,
    /// Sessions that are open: whose, and until when.
    pub sessions: HashMap<SessionId, (UserId, Timestamp)>,
    /// By SHA-256 of the token, in hexadecimal.
    pub tokens: HashMap<String, KnownToken>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: UserId,
    sid: SessionId,
    iat: i64,
    exp: i64,
}

/// Why nobody is let in.
enum Refusal {
    /// Whatever other replicas have done.
    ForGood(&'static str),
    /// As far as this replica knows.
    Unknown(&'static str),
}

/// Somebody who is let in: how they proved it, and who they are.
type Admitted = (Subject, UserId, KnownUser);

/// What somebody who signed in was given, for surfaces that speak another protocol.
#[derive(Clone)]
pub struct Grant {
    /// The access token.
    pub access_token: String,
    /// How many seconds it is good for.
    pub seconds: i64,
    /// The role of whoever signed in.
    pub role: Role,
}

/// The prefix that tells an API token from an access token.
pub const API_TOKEN_PREFIX: &str = "looma_";

/// SHA-256 in hexadecimal: what is stored of a secret.
pub fn fingerprint(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

impl Auth {
    /// Signs with `key`; knows nobody yet.
    pub fn new(clock: Clock, feed: &Feed, key: [u8; 32]) -> Self {
        Self(Arc::new(Shared { clock, feed: feed.downgrade(), key, known: RwLock::default() }))
    }

    /// The key, to derive other secrets from.
    pub fn key(&self) -> &[u8; 32] {
        &self.0.key
    }

    /// Changes what is known.
    pub fn update(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.0.known.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Signs an access token (JWT, HS256, RFC 7519) for a session, good for `seconds`.
    pub fn issue(&self, user: &UserId, session: &SessionId, seconds: i64) -> anyhow::Result<String> {
        let iat = self.0.clock.now().millis() / 1000;
        let claims = Claims { sub: user.clone(), sid: session.clone(), iat, exp: iat + seconds };
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(&self.0.key))?)
    }

    /// Who a token stands for; asks what other replicas have done before it is said to be unknown.
    async fn who(&self, bearer: &str) -> ApiResult<Admitted> {
        if let Err(Refusal::Unknown(_)) = self.remembered(bearer)
            && let Some(feed) = self.0.feed.upgrade()
        {
            feed::look_again(&feed).await?;
        }
        self.remembered(bearer).map_err(|refusal| match refusal {
            Refusal::ForGood(why) | Refusal::Unknown(why) => ApiError::Unauthorized(why),
        })
    }

    /// Who a token stands for, as far as memory goes.
    fn remembered(&self, bearer: &str) -> Result<Admitted, Refusal> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let (subject, user_id) = match bearer.strip_prefix(API_TOKEN_PREFIX) {
            Some(_) => {
                let token =
                    known.tokens.get(&fingerprint(bearer)).ok_or(Refusal::Unknown("this token is not known"))?;
                if token.expires_at.is_some_and(|at| at <= self.0.clock.now()) {
                    return Err(Refusal::ForGood("this token has expired"));
                }
                let user = token.user_id.clone();
                (Subject::Token(Box::new(token.clone())), user)
            }
            None => {
                let claims = self.read(bearer).map_err(Refusal::ForGood)?;
                match known.sessions.get(&claims.sid) {
                    Some((user, until)) if *user == claims.sub && *until > self.0.clock.now() => {}
                    _ => return Err(Refusal::Unknown("this session has ended")),
                }
                (Subject::Session(claims.sid), claims.sub)
            }
        };
        match known.users.get(&user_id) {
            Some(user) if user.active => Ok((subject, user_id, user.clone())),
            _ => Err(Refusal::Unknown("this user may not sign in")),
        }
    }

    /// Whether what a caller proved itself with is still good, and brings its role up to date: for answers that last.
    pub fn renew(&self, caller: &mut Caller) -> bool {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let now = self.0.clock.now();
        let good = match &caller.subject {
            Subject::Session(id) => known.sessions.get(id).is_some_and(|(_, until)| *until > now),
            Subject::Token(token) => {
                let lasts = token.expires_at.is_none_or(|at| at > now);
                lasts && known.tokens.values().any(|known| known.token_id == token.token_id)
            }
        };
        match known.users.get(&caller.user_id).filter(|user| good && user.active) {
            Some(user) => {
                caller.role = user.role;
                true
            }
            None => false,
        }
    }

    fn read(&self, token: &str) -> Result<Claims, &'static str> {
        let mut validation = Validation::new(Algorithm::HS256);
        // The clock is ours to read, not the library's.
        validation.validate_exp = false;
        let key = DecodingKey::from_secret(&self.0.key);
        let claims =
            jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(|_| "this token is not valid")?.claims;
        if claims.exp <= self.0.clock.now().millis() / 1000 {
            return Err("this token has expired: refresh it");
        }
        Ok(claims)
    }
}

/// How somebody proved who they are.
#[derive(Clone, Debug)]
pub enum Subject {
    /// They signed in.
    Session(SessionId),
    /// They sent an API token.
    Token(Box<KnownToken>),
}

/// Somebody whose token is good.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Which user.
    pub user_id: UserId,
    /// The user's name.
    pub username: String,
    /// The user's role.
    pub role: Role,
    /// How they proved it.
    pub subject: Subject,
    /// From where.
    pub source: IpAddr,
    /// In which request.
    pub request: RequestId,
}

impl Caller {
    /// Whether role, or scopes of the token, allow it.
    pub fn may(&self, scope: Scope) -> bool {
        let role = self.role >= scope.role();
        match &self.subject {
            Subject::Session(_) => role,
            Subject::Token(token) => role && token.scopes.contains(&scope),
        }
    }

    /// 403 unless `may`.
    pub fn must(&self, scope: Scope) -> ApiResult<()> {
        if self.may(scope) { Ok(()) } else { Err(ApiError::missing_scope(scope)) }
    }

    /// Whether it is no token that is bound to another service.
    pub fn speaks_for(&self, id: &ServiceId, name: &str) -> bool {
        let Subject::Token(token) = &self.subject else {
            return true;
        };
        let Binding { service_id, service_name } = &token.binding;
        service_id.as_ref().is_none_or(|bound| bound == id) && service_name.as_ref().is_none_or(|bound| bound == name)
    }

    /// 403 for a token that is bound to another service.
    pub fn must_speak_for(&self, id: &ServiceId, name: &str) -> ApiResult<()> {
        if self.speaks_for(id, name) { Ok(()) } else { Err(ApiError::bound_elsewhere()) }
    }

    /// 403 for a token that is bound to a service: what is asked for concerns others too.
    pub fn must_be_unbound(&self) -> ApiResult<()> {
        match &self.subject {
            Subject::Token(token) if token.binding != Binding::default() => {
                Err(ApiError::Forbidden("this token is bound to a service".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Who that is in the audit.
    pub fn actor(&self) -> Actor {
        let name = match &self.subject {
            Subject::Session(_) => format!("user:{}", self.user_id),
            Subject::Token(token) => format!("token:{}", token.token_id),
        };
        Actor { name, source: self.source.to_string(), request: self.request.clone() }
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Auth: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let header =
            parts.headers.get(header::AUTHORIZATION).ok_or(ApiError::Unauthorized("a bearer token is needed"))?;
        let bearer = header
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .ok_or(ApiError::Unauthorized("the Authorization header must say Bearer and a token"))?
            .1;
        let (subject, user_id, user) = Auth::from_ref(state).who(bearer.trim()).await?;
        let KnownUser { username, role, active: _ } = user;
        Ok(Self { user_id, username, role, subject, source: source(parts), request: parts.request_id() })
    }
}

/// The address at the other end of the connection. Forwarding headers are not believed: anybody can write them.
pub fn source(parts: &Parts) -> IpAddr {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or(IpAddr::from([0, 0, 0, 0]), |ConnectInfo(at)| at.ip())
}

/// Where a request of somebody unknown comes from, for the few public paths.
pub struct Source {
    /// The address at the other end of the connection.
    pub address: IpAddr,
    /// The request.
    pub request: RequestId,
}

impl<S: Send + Sync> FromRequestParts<S> for Source {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self { address: source(parts), request: parts.request_id() })
    }
}

/// Declares extractors that let through whom their line says.
macro_rules! guards {
    ($($(#[$doc:meta])* $name:ident: |$caller:ident| $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(pub Caller);

        impl<S> FromRequestParts<S> for $name
        where
            S: Send + Sync,
            Auth: FromRef<S>,
        {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
                let $caller = Caller::from_request_parts(parts, state).await?;
                $check?;
                Ok(Self($caller))
            }
        }

        impl std::ops::Deref for $name {
            type Target = Caller;

            fn deref(&self) -> &Caller {
                &self.0
            }
        }
    )*};
}

guards! {
    /// An administrator who signed in; no token stands in for one.
    Admin: |caller| match (&caller.subject, caller.role) {
        (Subject::Session(_), Role::Admin) => Ok(()),
        _ => Err(ApiError::Forbidden("this needs the role admin".to_owned())),
    };
    /// Somebody who signed in, whatever their role.
    SignedIn: |caller| match &caller.subject {
        Subject::Session(_) => Ok(()),
        Subject::Token(_) => Err(ApiError::Forbidden("this needs somebody who signed in, not a token".to_owned())),
    };
    /// May read services, nodes and discovery.
    ServicesRead: |caller| caller.must(Scope::ServicesRead);
    /// May register services and nodes.
    ServicesWrite: |caller| caller.must(Scope::ServicesWrite);
    /// May read metrics.
    MetricsRead: |caller| caller.must(Scope::MetricsRead);
    /// May send metrics.
    MetricsWrite: |caller| caller.must(Scope::MetricsWrite);
    /// May read rules, alerts, channels, routes and deliveries.
    AlertsRead: |caller| caller.must(Scope::AlertsRead);
    /// May change them.
    AlertsWrite: |caller| caller.must(Scope::AlertsWrite);
    /// May read plugins.
    PluginsRead: |caller| caller.must(Scope::PluginsRead);
    /// May load and switch plugins.
    PluginsWrite: |caller| caller.must(Scope::PluginsWrite);
    /// May read configuration.
    ConfigsRead: |caller| caller.must(Scope::ConfigsRead);
    /// May change configuration.
    ConfigsWrite: |caller| caller.must(Scope::ConfigsWrite);
    /// May read talents.
    TalentsRead: |caller| caller.must(Scope::TalentsRead);
    /// May change talents.
    TalentsWrite: |caller| caller.must(Scope::TalentsWrite);
    /// May read tasks, replicas and the audit.
    SystemRead: |caller| caller.must(Scope::SystemRead);
}
