//! HTTP of the surfaces, gathered.

use axum::{
    Router,
    http::{HeaderValue, header, request::Parts},
};

use super::{SignIn, consul, nacos};
use crate::{
    app::App,
    http::error::{ApiError, ApiResult},
};

/// Where Nacos' clients look.
const NACOS: &str = "/nacos/v1";
/// Where Consul's clients look: most have no setting for what stands before `/v1`.
const CONSUL: [&str; 2] = ["/consul/v1", "/v1"];

/// Declares the paths of a surface: method, path, who may use it, handler.
macro_rules! surface {
    ($($method:ident $path:literal $access:literal $handler:path;)*) => {
        /// Method, path and who may use it, of each that wants a token.
        pub const PATHS: &[(&str, &str, &str)] = &[$((stringify!($method), $path, $access)),*];

        /// Those paths, with what answers them.
        pub fn handlers() -> axum::Router<$crate::app::App> {
            axum::Router::new()$(.route($path, axum::routing::$method($handler)))*
        }
    };
}

pub(super) use surface;

/// The routes of the surfaces that are switched on. `sign_in` is for clients that know a name and a password.
pub fn routes(app: &App, sign_in: SignIn) -> Router<App> {
    let mut router = Router::new();
    if app.settings.gateway.nacos {
        router = router.nest(NACOS, nacos::routes(app, sign_in));
    }
    if app.settings.gateway.consul {
        for base in CONSUL {
            router = router.nest(base, consul::routes());
        }
    }
    router
}

/// Every path that wants a token, with its method and who may use it.
pub fn paths() -> Vec<(&'static str, String, &'static str)> {
    let under = |base: &'static str, paths: &'static [(&'static str, &'static str, &'static str)]| {
        paths.iter().map(move |(method, path, access)| (*method, format!("{base}{path}"), *access))
    };
    let [own, root] = CONSUL;
    under(NACOS, nacos::PATHS)
        .chain(under(own, consul::AGENT))
        .chain(under(own, consul::CATALOG))
        .chain(under(root, consul::AGENT))
        .chain(under(root, consul::CATALOG))
        .collect()
}

/// Puts a token where every handler looks for it.
pub(super) fn bearer(parts: &mut Parts, token: &str) -> ApiResult<()> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let value = value.map_err(|_| ApiError::Unauthorized("this token is not valid"))?;
    parts.headers.insert(header::AUTHORIZATION, value);
    Ok(())
}
