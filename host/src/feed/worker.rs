//! What the feed does by itself: reads what other replicas committed, and forgets what is old.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::sync::Mutex;

use super::{Feed, queries};
use crate::{db, ids::Revision, lifecycle::Tasks};

/// How long a change stays readable for those that resume a watch.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// How many of the newest changes stay, however old.
const KEEP_NEWEST: i64 = 1000;
/// How many changes are read at a time.
const PAGE: i64 = 1000;
/// How often at most memory is brought up to date in a second because of what it does not know.
const LOOKS_A_SECOND: u32 = 10;
/// How long a lost connection for notifications is left alone, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The task that hears of other replicas.
const LISTEN: &str = "feed.listen";

/// Starts what the feed does by itself.
pub fn start(feed: &Feed, tasks: &Tasks) {
    let own = feed.clone();
    // Notifications are quicker, but one may be lost.
    tasks.every("feed.follow", Duration::from_secs(1), move || {
        let feed = own.clone();
        async move { follow(&feed).await }
    });
    let own = feed.clone();
    tasks.every("feed.prune", Duration::from_secs(3600), move || {
        let feed = own.clone();
        async move { prune(&feed).await }
    });
    let own = feed.clone();
    // It ends when changes were missed for good, and the process with it: started anew, it loads everything.
    tasks.spawn("feed.whole", async move { own.0.behind.cancelled().await });
    if feed.0.db.is_shared() {
        tasks.spawn(LISTEN, listen(feed.clone(), tasks.clone()));
    }
}

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
        for change in page {
            if change.revision.0 != applied.0 + 1 {
                return Err(queries::behind(feed.fall_behind(*applied)).into());
            }
            *applied = change.revision;
            feed.apply(change);
        }
        feed.0.head.send_replace(*applied);
    }
}

/// The turns of `look_again`.
#[derive(Default)]
pub(super) struct Looks {
    begun: AtomicU64,
    /// When the second of `count` looks began.
    turn: Mutex<(Duration, u32)>,
}

impl Looks {
    /// Whether one more may begin at `now`.
    fn may_begin((since, count): &mut (Duration, u32), now: Duration) -> bool {
        if now.saturating_sub(*since) >= Duration::from_secs(1) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= LOOKS_A_SECOND
    }
}

/// Follows once, for what memory does not know but another replica may have committed a moment ago. All that ask at a time
/// share one reading; beyond some in a second nothing is read, and memory stands as it is.
pub async fn look_again(feed: &Feed) -> anyhow::Result<()> {
    if !feed.0.db.is_shared() {
        return Ok(());
    }
    let Looks { begun, turn } = &feed.0.looks;
    let asked = begun.load(Ordering::Acquire);
    let mut turn = turn.lock().await;
    // Another began after this one had asked, and has ended.
    let shared = begun.load(Ordering::Acquire) > asked;
    if shared || !Looks::may_begin(&mut turn, feed.0.clock.uptime()) {
        return Ok(());
    }
    begun.fetch_add(1, Ordering::AcqRel);
    follow(feed).await
}

/// Follows as soon as another replica has committed. A lost connection is made anew, after pauses that grow.
async fn listen(feed: Feed, tasks: Tasks) {
    let (shortest, longest) = PAUSES;
    let mut pause = shortest;
    loop {
        let lost = match feed.0.db.listen(queries::CHANNEL).await {
            // Nobody else writes.
            Ok(None) => return tasks.stopping().await,
            Ok(Some(listener)) => {
                tasks.note(LISTEN, None);
                pause = shortest;
                hear(&feed, listener).await
            }
            Err(error) => error.into(),
        };
        tracing::warn!(error = format!("{lost:#}"), "hears nothing of other replicas: reads on once a second");
        tasks.note(LISTEN, Some(format!("{lost:#}")));
        feed.0.clock.sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// Follows with each notification until the connection is lost, or what it tells of cannot be read.
async fn hear(feed: &Feed, mut listener: db::Listener) -> anyhow::Error {
    loop {
        // At first for what was committed before anybody listened.
        if let Err(error) = follow(feed).await {
            return error;
        }
        loop {
            match listener.heard().await {
                Ok(notice) if is_news(feed, &notice) => break,
                Ok(_) => {}
                Err(error) => return error.into(),
            }
        }
    }
}

/// Whether a notification tells of something that is not in memory; what this replica writes is there by itself.
fn is_news(feed: &Feed, notice: &str) -> bool {
    let Some((replica, last)) = notice.split_once(' ') else { return true };
    replica != feed.0.replica.as_str() && last.parse().map_or(true, |last| Revision(last) > feed.head())
}

/// Deletes changes that nobody may resume from any more.
async fn prune(feed: &Feed) -> anyhow::Result<()> {
    let before = feed.0.clock.settled()?.minus(KEEP);
    let mut tx = feed.0.db.write().await?;
    let pruned = queries::prune(&mut tx, before, Revision(feed.head().0 - KEEP_NEWEST)).await?;
    tx.commit().await?;
    if pruned > 0 {
        tracing::debug!(pruned, "forgot {pruned} old changes");
    }
    Ok(())
}
