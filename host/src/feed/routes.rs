//! `GET /watch`: the feed as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{FromRef, Query, State},
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

use super::{Change, Feed};
use crate::{
    http::{
        auth::{Auth, Caller},
        error::{ApiError, ApiResult, Faults},
    },
    ids::Revision,
};

/// How many changes are read for a watcher at a time.
const PAGE: usize = 256;

/// The routes of the feed.
pub fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Feed: FromRef<S>,
    Auth: FromRef<S>,
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
}

/// Streams changes as they are committed, each once and in order.
#[utoipa::path(get, path = "/watch", tag = "discovery", params(WatchQuery), responses((status = 200, description = "a stream of events: `id` the revision, `event` the topic, `data` op, key and value", content_type = "text/event-stream", body = String)), extensions(("x-looma-access" = json!("any"))))]
async fn watch(
    caller: Caller,
    State(feed): State<Feed>,
    Query(query): Query<WatchQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let topics = allowed_topics(&feed, &caller, query.topics.as_deref())?;
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let head = feed.head();
    let from = resumed.or(query.from).map_or(head, Revision);
    if from.0 < 0 || from > head {
        return Err(Faults::one("/from", format!("there are revisions 0 to {head}")).into());
    }
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(events(feed, topics, from)).keep_alive(keep_alive).into_response())
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

struct Watching {
    feed: Feed,
    topics: Vec<&'static str>,
    seen: Revision,
    head: tokio::sync::watch::Receiver<Revision>,
    ready: std::vec::IntoIter<Event>,
}

/// Reads on from `seen` for as long as the watcher takes what it gets: nothing is queued for a slow one.
fn events(feed: Feed, topics: Vec<&'static str>, seen: Revision) -> impl Stream<Item = Result<Event, Infallible>> {
    let head = feed.subscribe();
    let watching = Watching { feed, topics, seen, head, ready: Vec::new().into_iter() };
    stream::unfold(watching, |mut w| async move {
        loop {
            if let Some(event) = w.ready.next() {
                return Some((Ok(event), w));
            }
            // The sender lives as long as the feed that `w` holds.
            w.head.wait_for(|head| *head > w.seen).await.ok()?;
            match w.feed.after(w.seen, PAGE).await {
                Ok(Some(page)) => {
                    w.seen = page.last().map_or(w.seen, |last| last.revision);
                    let shown = page.iter().filter(|change| w.topics.contains(&change.topic.as_str()));
                    w.ready = shown.map(|change| event(change)).collect::<Vec<_>>().into_iter();
                }
                Ok(None) => {
                    w.seen = w.feed.head();
                    let resync = Event::default().id(w.seen.to_string()).event("resync").data("{}");
                    w.ready = vec![resync].into_iter();
                }
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
