//! Channels: a notifier plugin with a configuration. A channel names secrets and holds none.

mod queries;
mod routes;
mod types;

pub(crate) use queries::{POSTGRES, SQLITE, STATEMENTS, all, hold};
pub use routes::routes;
pub use types::{CHANNELS, Channel, ChannelId, ChannelSpec};
