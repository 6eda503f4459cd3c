//! What Consul's catalogue, its health and its status tell.

mod routes;

pub use routes::PATHS;
pub(super) use routes::handlers;
