//! Bringing alerts to people: channels, routes, silences, grouping, and delivery through notifier plugins.
//!
//! What it is given are alerts as people are told of them; it knows no rule and no metric. What is to be told is written in the
//! transaction that records the alert, and delivered from there: nothing is told that did not happen, and nothing is lost.
//!
//! Read on in `types`, `channels`, `routing`, `silences`, `groups`, `deliveries`.

mod channels;
mod deliveries;
mod groups;
mod memory;
mod routing;
mod silences;
mod types;

use std::time::Duration;

use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::App,
    feed::Changes,
    http::{
        error::ApiResult,
        page::{self, Page, PageQuery},
    },
    plugins::Kind,
};

pub use channels::Channel;
pub use deliveries::{Delivery, DeliveryStatus};
pub use groups::{enter, hush};
pub use memory::{Notify, load};
pub use routing::Route;
pub use silences::Silence;
pub use types::{AlertStatus, By, Labels, Matchers, Severity, Told, check_labels};

/// Statements for both databases.
pub(crate) const STATEMENTS: [&[(&str, &str)]; 5] =
    [channels::STATEMENTS, routing::STATEMENTS, silences::STATEMENTS, groups::STATEMENTS, deliveries::STATEMENTS];
/// Statements for SQLite.
pub(crate) const SQLITE: [&[(&str, &str)]; 4] = [channels::SQLITE, routing::SQLITE, groups::SQLITE, deliveries::SQLITE];
/// Statements for PostgreSQL.
pub(crate) const POSTGRES: [&[(&str, &str)]; 4] =
    [channels::POSTGRES, routing::POSTGRES, groups::POSTGRES, deliveries::POSTGRES];

/// How long a silence that has ended stays to be seen.
const ENDED_SILENCES: Duration = Duration::from_secs(30 * 24 * 3600);

/// The routes of channels, routes, silences and the delivery log.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(channels::routes())
        .merge(routing::routes())
        .merge(silences::routes())
        .merge(deliveries::routes())
}

/// Starts what it does by itself.
pub fn start(app: &App) {
    let own = app.clone();
    app.tasks.every("notify.deliver", Duration::from_millis(250), move || {
        let app = own.clone();
        async move { deliveries::run(&app).await }
    });
    let own = app.clone();
    app.tasks.every("notify.release", Duration::from_secs(5), move || {
        let app = own.clone();
        async move { deliveries::release(&app).await }
    });
    let own = app.clone();
    app.tasks.every("notify.prune", Duration::from_secs(3600), move || {
        let app = own.clone();
        async move { prune(&app).await }
    });
}

/// Forgets deliveries and silences that are long over.
async fn prune(app: &App) -> anyhow::Result<()> {
    let now = app.clock.settled()?;
    let kept = Duration::from_secs(u64::from(app.settings.alerts.delivery_log_days) * 24 * 3600);
    let mut tx = app.db.write().await?;
    deliveries::prune(&mut tx, now.minus(kept)).await?;
    let mut changes = Changes::unaudited();
    for silence in silences::delete_ended(&mut tx, now.minus(ENDED_SILENCES)).await? {
        changes.delete_quietly(silences::SILENCES, silence.silence_id.0);
    }
    app.feed.commit(tx, changes).await?;
    Ok(())
}

/// 422 with everything that is wrong with a channel; what its notifier finds stands under `/config`.
async fn check_channel(app: &App, spec: &channels::ChannelSpec) -> ApiResult<()> {
    let mut faults = spec.faults();
    app.plugins.check_named(Kind::Notifier, ("/notifier", &spec.notifier), &spec.config_text(), &mut faults).await;
    Ok(faults.finish()?)
}

/// A page of things in memory, in the order of their keys.
pub fn page_by<T: Clone, K>(
    things: Vec<std::sync::Arc<T>>,
    asked: &PageQuery,
    key: impl Fn(&T) -> K,
) -> ApiResult<Page<T>>
where
    K: Ord + serde::Serialize + serde::de::DeserializeOwned,
{
    let PageQuery { limit, after } = asked;
    let limit = page::limit(*limit)?;
    let after: Option<K> = page::cursor(after.as_deref())?;
    let mut things: Vec<(K, std::sync::Arc<T>)> = things.into_iter().map(|thing| (key(&thing), thing)).collect();
    things.retain(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    things.sort_by(|(a, _), (b, _)| a.cmp(b));
    things.truncate(limit + 1);
    let items = things.into_iter().map(|(_, thing)| (*thing).clone()).collect();
    Ok(Page::new(items, limit, &key))
}
