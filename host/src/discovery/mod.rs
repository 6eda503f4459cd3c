//! Sources: where services are found, and how what is found meets what is registered.

mod routes;

use crate::{app::App, db::AsConn, feed::Feed};

pub use routes::routes;

/// The discovery sources. Clones share it.
#[derive(Clone, Default)]
pub struct Discovery;

impl Discovery {
    /// Keeps itself true from the feed.
    pub fn new(_feed: &Feed) -> Self {
        Self
    }
}

/// Fills memory from the database, as `on` sees it.
pub async fn load(_on: &mut dyn AsConn, _own: &Discovery) -> anyhow::Result<()> {
    Ok(())
}

/// Starts what it does by itself.
pub fn start(_app: &App) {}
