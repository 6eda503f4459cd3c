//! Turns: at most one run of a source at a time, on this replica and over all of them. A run holds a lease and renews it; one that
//! has lost it ends.

use std::{sync::PoisonError, time::Duration};

use super::{Discovery, types::SourceId};
use crate::{
    app::App,
    db::{self, Tx, lease},
};

/// How long a lease lasts without being renewed.
const LEASE: Duration = Duration::from_secs(60);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(20);

/// Held while a source runs on this replica, or while what it is to run by is changed here.
pub(super) type Turn = tokio::sync::OwnedMutexGuard<()>;

impl Discovery {
    fn turn_of(&self, id: &SourceId) -> std::sync::Arc<tokio::sync::Mutex<()>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()).or_default().clone()
    }

    /// The turn of a source, unless somebody here has it.
    pub(super) fn try_turn(&self, id: &SourceId) -> Option<Turn> {
        self.turn_of(id).try_lock_owned().ok()
    }

    /// The turn of a source, when a run that is under way here has ended.
    pub(super) async fn turn(&self, id: &SourceId) -> Turn {
        self.turn_of(id).lock_owned().await
    }
}

fn task(id: &SourceId) -> String {
    format!("discovery.run/{id}")
}

/// Takes or renews the lease of a source; false while another replica runs it.
pub(super) async fn take(tx: &mut Tx, app: &App, id: &SourceId) -> db::Result<bool> {
    let now = app.clock.now();
    lease::take(tx, &task(id), &app.replica, now.plus(LEASE), now).await
}

/// Gives the lease of a source back; false if it was lost.
pub(super) async fn give_up(tx: &mut Tx, app: &App, id: &SourceId) -> db::Result<bool> {
    lease::give_up(tx, &task(id), &app.replica).await
}

async fn renew(app: &App, id: &SourceId) -> db::Result<bool> {
    let mut tx = app.db.write().await?;
    let ours = take(&mut tx, app, id).await?;
    tx.commit().await?;
    Ok(ours)
}

/// Renews the lease of a source again and again; ends when it is lost.
pub(super) async fn keep(app: &App, id: &SourceId) {
    let mut until = app.clock.uptime() + LEASE;
    loop {
        app.clock.sleep(RENEW).await;
        let asked = app.clock.uptime();
        match renew(app, id).await {
            Ok(true) => until = asked + LEASE,
            Ok(false) => return,
            Err(error) if app.clock.uptime() < until => {
                tracing::warn!(source.id = %id, %error, "could not renew the lease of a discovery source: trying again");
            }
            Err(_) => return,
        }
    }
}
