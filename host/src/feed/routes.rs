//! `GET /watch`: the feed as server-sent events.

use std::{collections::HashSet, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{FromRef, State},
    http::HeaderMap,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{Stream, stream};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Change, Feed, worker};
use crate::{
    http::{
        auth::{Auth, Caller},
        error::{ApiError, ApiResult, Faults},
        page::Params,
    },
    ids::Revision,
    lifecycle::Tasks,
};

/// How many changes are read for a watcher at a time.
const PAGE: usize = 256;
/// How many for one that is sent the newest of each thing alone.
const PAGE_OF_LATEST: usize = 2048;
/// How often an idle watcher's right to watch is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The routes of the feed.
pub fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Feed: FromRef<S>,
    Auth: FromRef<S>,
    Tasks: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(watch))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WatchQuery {
    /// Topics to watch, separated by commas; all that the caller may read when absent.
    topics: Option<String>,
    /// The revision after which to begin; the newest when absent. `Last-Event-ID` says the same.
    from: Option<i64>,
    /// Whether to be spared what is past already: of several changes of one thing that wait to be sent, only the newest is.
    #[serde(default)]
    latest: bool,
}

/// Streams changes as they are committed, each once and in order; with `latest`, of each thing what it is now.
#[utoipa::path(get, path = "/watch", tag = "discovery", params(WatchQuery), responses((status = 200, description = "a stream of events: `id` the revision, `event` the topic, `data` op, key and value", content_type = "text/event-stream", body = String)), extensions(("x-looma-access" = json!("any"))))]
async fn watch(
    caller: Caller,
    State(feed): State<Feed>,
    State(auth): State<Auth>,
    State(tasks): State<Tasks>,
    Params(query): Params<WatchQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let topics = allowed_topics(&feed, &caller, query.topics.as_deref())?;
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let head = feed.head();
    let from = resumed.or(query.from).map_or(head, Revision);
    if from.0 < 0 {
        return Err(Faults::one("/from", "must not be negative").into());
    }
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    let watching = Watching::new(feed, auth, tasks, Watcher { caller, topics, latest: query.latest }, from).await;
    Ok(Sse::new(events(watching)).keep_alive(keep_alive).into_response())
}

fn allowed_topics(feed: &Feed, caller: &Caller, asked: Option<&str>) -> ApiResult<Vec<&'static str>> {
    let shown = || feed.topics().filter_map(|topic| Some((topic.name, topic.scope?)));
    let Some(asked) = asked else {
        return Ok(shown().filter(|(_, scope)| caller.may(*scope)).map(|(name, _)| name).collect());
    };
    let mut topics = Vec::new();
    let mut faults = Faults::new();
    for name in asked.split(',') {
        match shown().find(|(known, _)| *known == name) {
            Some((_, scope)) if !caller.may(scope) => return Err(ApiError::missing_scope(scope)),
            Some((known, _)) => topics.push(known),
            None => {
                let known: Vec<_> = shown().map(|(name, _)| name).collect();
                faults.add("/topics", format!("there is no topic {name:?}; there are {}", known.join(", ")));
            }
        }
    }
    faults.finish()?;
    Ok(topics)
}

/// Who watches what.
struct Watcher {
    caller: Caller,
    topics: Vec<&'static str>,
    latest: bool,
}

impl Watcher {
    /// What is sent of changes that were read together.
    fn shown(&self, page: &[Arc<Change>]) -> Vec<Event> {
        let (mut told, mut shown) = (HashSet::new(), Vec::new());
        // From the newest back: what was told of is told no more.
        for change in page.iter().rev().filter(|change| self.topics.contains(&change.topic.as_str())) {
            if !self.latest || told.insert((change.topic.as_str(), change.key.as_str())) {
                shown.push(event(change));
            }
        }
        shown.reverse();
        shown
    }
}

struct Watching {
    feed: Feed,
    auth: Auth,
    tasks: Tasks,
    watcher: Watcher,
    seen: Revision,
    head: tokio::sync::watch::Receiver<Revision>,
    ready: std::vec::IntoIter<Event>,
}

impl Watching {
    async fn new(feed: Feed, auth: Auth, tasks: Tasks, watcher: Watcher, seen: Revision) -> Self {
        let head = feed.subscribe();
        let mut watching = Self { feed, auth, tasks, watcher, seen, head, ready: Vec::new().into_iter() };
        if seen > watching.feed.head() {
            // Another replica may be ahead of this one. If none is, the revision is of a database that is no more.
            if let Err(error) = worker::follow(&watching.feed).await {
                tracing::warn!(error = format!("{error:#}"), "could not follow the feed for a watcher");
            }
            if seen > watching.feed.head() {
                watching.resync();
            }
        }
        watching
    }

    fn resync(&mut self) {
        self.seen = self.feed.head();
        let resync = Event::default().id(self.seen.to_string()).event("resync").data("{}");
        self.ready = vec![resync].into_iter();
    }

    /// Whether the watcher may still see what it watches: a right that is taken away ends the watch.
    fn may_go_on(&mut self) -> bool {
        let Watcher { caller, topics, latest: _ } = &mut self.watcher;
        let scope = |name: &&str| self.feed.topics().find(|topic| topic.name == *name).and_then(|topic| topic.scope);
        self.auth.renew(caller) && topics.iter().filter_map(scope).all(|scope| caller.may(scope))
    }

    /// Waits for a change after `seen`; `None` when the watch is to end.
    async fn changed(&mut self) -> Option<()> {
        loop {
            let seen = self.seen;
            let waited = tokio::select! {
                () = self.tasks.stopping() => return None,
                // The sender lives as long as the feed.
                waited = tokio::time::timeout(LOOK_AGAIN, self.head.wait_for(|head| *head > seen)) => waited.is_ok(),
            };
            if !self.may_go_on() {
                return None;
            }
            if waited {
                return Some(());
            }
        }
    }
}

/// Reads on from `seen` for as long as the watcher takes what it gets: nothing is queued for a slow one.
fn events(watching: Watching) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(watching, |mut w| async move {
        loop {
            if let Some(event) = w.ready.next() {
                return Some((Ok(event), w));
            }
            w.changed().await?;
            let page = if w.watcher.latest { PAGE_OF_LATEST } else { PAGE };
            match w.feed.after(w.seen, page).await {
                Ok(Some(page)) => {
                    w.seen = page.last().map_or(w.seen, |last| last.revision);
                    w.ready = w.watcher.shown(&page).into_iter();
                }
                Ok(None) => w.resync(),
                Err(error) => {
                    // The watcher resumes with the last id it got.
                    tracing::warn!(%error, "could not read the feed for a watcher");
                    return None;
                }
            }
        }
    })
}

fn event(change: &Change) -> Event {
    let key = serde_json::Value::from(change.key.as_str());
    let value = change.value.as_deref().unwrap_or("null");
    let data = format!(r#"{{"op":"{}","key":{key},"value":{value}}}"#, change.op);
    Event::default().id(change.revision.to_string()).event(&change.topic).data(data)
}
