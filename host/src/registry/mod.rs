//! Services and nodes: who is there, and whether it lives.

mod routes;

use crate::{app::App, db::AsConn, feed::Feed};

pub use routes::routes;

/// The registry. Clones share it.
#[derive(Clone, Default)]
pub struct Registry;

impl Registry {
    /// Keeps itself true from the feed.
    pub fn new(_feed: &Feed) -> Self {
        Self
    }
}

/// Fills memory from the database, as `on` sees it.
pub async fn load(_on: &mut dyn AsConn, _own: &Registry) -> anyhow::Result<()> {
    Ok(())
}

/// Starts what it does by itself.
pub fn start(_app: &App) {}
