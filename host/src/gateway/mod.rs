//! The registry as clients of other systems know it: Nacos' v1 HTTP (`nacos`), a part of Consul's (`consul`), and DNS (`dns`).
//!
//! There is one registry: what is registered one way is found the others. Nothing is kept here but what a client of another
//! system said that the registry has no field for, in `config.nacos` and `config.consul` of the service; and that counts for
//! as long as nobody has changed the service otherwise. Who may do what is checked as everywhere else.
//!
//! Read on in `endpoint` and `labels` (what all of them map alike), `fields` (parameters), `nacos`, `consul`, `dns`,
//! `routes`.

mod consul;
pub mod dns;
mod endpoint;
mod fields;
mod labels;
mod nacos;
mod routes;

use futures_util::future::BoxFuture;

use crate::{
    app::App,
    http::{
        auth::{Grant, Source},
        error::ApiResult,
    },
};

pub use routes::{paths, routes};

/// What stands before the paths that answer with a token of Nacos' clients.
pub const NACOS_SIGN_IN: &str = "/nacos/v1/auth/";

/// Signs in with a name and a password: what the owner of users hands in.
pub type SignIn = fn(App, Source, String, String) -> BoxFuture<'static, ApiResult<Grant>>;
