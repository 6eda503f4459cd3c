//! What the feed does by itself: reads what other replicas committed, and forgets what is old.

use std::time::Duration;

use super::{Feed, queries};
use crate::ids::Revision;

/// How long a change stays readable for those that resume a watch.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// How many of the newest changes stay, however old.
const KEEP_NEWEST: i64 = 1000;
/// How many changes are read at a time.
const PAGE: i64 = 1000;

/// Applies what other replicas have committed since. On one replica there is never anything to do.
pub async fn follow(feed: &Feed) -> anyhow::Result<()> {
    loop {
        // The connection first: writers hold theirs while they wait for the lock.
        let mut reader = feed.0.db.read().await?;
        let mut applied = feed.0.applied.lock().await;
        let page = queries::after(&mut reader, *applied, PAGE).await?;
        drop(reader);
        if page.is_empty() {
            return Ok(());
        }
        if page.first().is_some_and(|first| first.revision.0 != applied.0 + 1) {
            anyhow::bail!("changes after revision {} are no longer kept: start this replica anew", *applied);
        }
        for change in page {
            *applied = change.revision;
            feed.apply(change);
        }
        feed.0.head.send_replace(*applied);
    }
}

/// Deletes changes that nobody may resume from any more.
pub async fn prune(feed: &Feed) -> anyhow::Result<()> {
    let before = feed.0.clock.settled()?.minus(KEEP);
    let mut tx = feed.0.db.write().await?;
    let pruned = queries::prune(&mut tx, before, Revision(feed.head().0 - KEEP_NEWEST)).await?;
    tx.commit().await?;
    if pruned > 0 {
        tracing::debug!(pruned, "forgot {pruned} old changes");
    }
    Ok(())
}
