//! The server about itself: whether it lives and is ready, its tasks, its replicas, its metrics.

mod queries;
mod routes;

use std::time::Duration;

use crate::{app::App, clock::Timestamp, db::lease};

pub(crate) use queries::STATEMENTS;
pub use routes::{public, routes};

/// How often a replica says that it is there.
pub const BEAT: Duration = Duration::from_secs(5);

/// Says that this replica is there. That it can be written and read back is what readiness rests on.
pub async fn beat(app: &App) -> anyhow::Result<()> {
    let mut tx = app.db.write().await?;
    queries::beat(&mut tx, &app.replica, &app.settings.server.listen.to_string(), app.clock.now()).await?;
    tx.commit().await?;
    Ok(())
}

/// Forgets replicas that have not been there for a day, says that this one is gone, and gives up its leases.
pub async fn leave(app: &App) -> anyhow::Result<()> {
    let before = app.clock.settled().map_or(Timestamp::MIN, |now| now.minus(Duration::from_secs(24 * 3600)));
    let mut tx = app.db.write().await?;
    queries::leave(&mut tx, &app.replica, before).await?;
    lease::release_all(&mut tx, &app.replica).await?;
    tx.commit().await?;
    Ok(())
}

/// Starts what it does by itself.
pub fn start(app: &App) {
    let own = app.clone();
    app.tasks.every("system.beat", BEAT, move || {
        let app = own.clone();
        async move { beat(&app).await }
    });
}
