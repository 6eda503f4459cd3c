//! What secrets do by themselves: they are opened at the start, and read again when another replica changed them.

use std::{sync::PoisonError, time::Duration};

use super::{Safe, queries, types::SecretName};
use crate::{app::App, db::AsConn};

/// Opens every secret, as `on` sees it. One that does not open is a recorded state, and no failure here.
pub async fn load(on: &mut dyn AsConn, safe: &Safe) -> anyhow::Result<()> {
    let stored = queries::all(on).await?;
    let known = stored.iter().map(|stored| (stored.secret.name.0.clone(), safe.known(stored)));
    safe.0.secrets.replace(known.collect());
    Ok(())
}

/// Starts what it does by itself.
pub fn start(app: &App) {
    let own = app.clone();
    app.tasks.every("secrets.follow", Duration::from_secs(1), move || {
        let app = own.clone();
        async move { follow(&app).await }
    });
}

/// Reads what other replicas changed.
async fn follow(app: &App) -> anyhow::Result<()> {
    let safe = &app.secrets;
    loop {
        let next = safe.0.asked.lock().unwrap_or_else(PoisonError::into_inner).first().cloned();
        let Some(name) = next else { return Ok(()) };
        // It is forgotten only when it was read: the next run tries again.
        let stored = queries::find(&mut app.db.read().await?, &SecretName(name.clone())).await?;
        safe.0.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        safe.0.secrets.put(&name, stored.map(|stored| safe.known(&stored)).as_ref());
    }
}
