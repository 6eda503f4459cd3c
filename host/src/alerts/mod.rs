//! Rules that watch metrics, and the alerts that come of them.

mod routes;

use crate::{app::App, db::AsConn, feed::Feed};

pub use routes::routes;

/// The alerts. Clones share it.
#[derive(Clone, Default)]
pub struct Alerts;

impl Alerts {
    /// Keeps itself true from the feed.
    pub fn new(_feed: &Feed) -> Self {
        Self
    }
}

/// Fills memory from the database, as `on` sees it.
pub async fn load(_on: &mut dyn AsConn, _own: &Alerts) -> anyhow::Result<()> {
    Ok(())
}

/// Starts what it does by itself.
pub fn start(_app: &App) {}
