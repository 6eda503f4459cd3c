//! What a service tells Consul's agent, and what the agent says of itself.

mod routes;

pub use routes::PATHS;
pub(super) use routes::handlers;
