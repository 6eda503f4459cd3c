//! Who changed what, to be read.

mod routes;

use crate::{app::App, db::AsConn, feed::Feed};

pub use routes::routes;

/// The audit. Clones share it.
#[derive(Clone, Default)]
pub struct Audit;

impl Audit {
    /// Keeps itself true from the feed.
    pub fn new(_feed: &Feed) -> Self {
        Self
    }
}

/// Fills memory from the database, as `on` sees it.
pub async fn load(_on: &mut dyn AsConn, _own: &Audit) -> anyhow::Result<()> {
    Ok(())
}

/// Starts what it does by itself.
pub fn start(_app: &App) {}
