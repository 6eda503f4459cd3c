//! Blocking queries: an answer that waits until what it is about has changed.
//!
//! An index that this server has never given is one of another past: it is answered at once, with the true index, which is
//! smaller, and by that the client knows to begin anew.

use std::time::Duration;

use super::types::duration;
use crate::{
    app::App,
    feed,
    gateway::fields::{Fields, malformed},
    http::error::{ApiError, ApiResult},
    ids::Revision,
    registry::Watched,
};

/// How long an answer waits that does not say.
const WAIT: Duration = Duration::from_secs(5 * 60);
/// How long any answer waits.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// Waits as the request asks for; refuses what would make the answer a wrong one.
pub async fn wait(app: &App, fields: &Fields, watched: Watched<'_>) -> ApiResult<()> {
    let own = &app.settings.gateway.datacenter;
    if let Some(other) = fields.get("dc").filter(|dc| dc != own) {
        return Err(ApiError::NotFound(format!("path to datacenter {other:?}")));
    }
    if fields.get("filter").is_some() {
        return Err(malformed("Failed to create boolean expression evaluator: filters are not supported"));
    }
    let index = fields.get("index").map(|index| index.parse::<u64>().map_err(|_| malformed("Invalid index")));
    let wait = fields.get("wait").map(|wait| duration(wait).ok_or_else(|| malformed("Invalid wait time")));
    let (index, wait) = (index.transpose()?.unwrap_or(0), wait.transpose()?);
    if index == 0 {
        return Ok(());
    }
    let known = i64::try_from(index).map_or(Revision(i64::MAX), Revision);
    if known > app.feed.head() {
        // Another replica may have given it.
        feed::look_again(&app.feed).await?;
    }
    if known <= app.feed.head() {
        let at_most = wait.filter(|wait| !wait.is_zero()).unwrap_or(WAIT).min(LONGEST);
        app.registry.wait_beyond(watched, known, at_most, &app.tasks).await;
    }
    Ok(())
}
