//! HTTP of samples.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    history::{self, ReadError, Window},
    ingest::{self, MOST_SAMPLES, NewSamples},
    memory::Filter,
    types::{Aggregate, Point, SeriesId, SeriesInfo},
    writer::WriteError,
};
use crate::{
    app::App,
    clock::Timestamp,
    http::{
        auth::{Caller, MetricsRead, MetricsWrite},
        body::Body,
        error::{ApiError, ApiResult, Faults, OrNotFound as _, Problem},
        page::{self, Page, Params},
    },
    ids::ServiceId,
};

/// The largest body of samples.
const MOST_BYTES: usize = 16 << 20;
/// How many series one query may answer with.
const MOST_SERIES: usize = 1000;
/// How many points one series of an answer may have.
const MOST_POINTS: i64 = 11_000;
/// How long a query reaches back when it does not say.
const LONG: std::time::Duration = std::time::Duration::from_secs(3600);

/// The routes of metrics.
pub fn routes() -> OpenApiRouter<App> {
    let ingest = OpenApiRouter::new().routes(routes!(write)).layer(DefaultBodyLimit::max(MOST_BYTES));
    ingest.merge(OpenApiRouter::new().routes(routes!(list)).routes(routes!(query)))
}

/// Keeps samples: 204 once they are durable. Of bad ones the index is told, with 422, and the good ones are kept.
#[utoipa::path(post, path = "/metrics", tag = "metrics", request_body = NewSamples, responses((status = 204), (status = 413, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)), extensions(("x-looma-access" = json!("metrics:write"))))]
async fn write(who: MetricsWrite, State(app): State<App>, Body(body): Body<NewSamples>) -> ApiResult<StatusCode> {
    let NewSamples { samples } = body;
    if samples.len() > MOST_SAMPLES {
        let message = format!("must have at most {MOST_SAMPLES} samples, has {}", samples.len());
        return Err(Faults::one("/samples", message).into());
    }
    let (good, mut faults) = ingest::check(&samples, app.clock.now(), &app.settings.metrics);
    may_speak_for(&who, &app, good.iter().map(|sample| &sample.key.service_id)).await?;
    let bad = samples.len() - good.len();
    let refused = app.metrics.write(good).await?;
    app.metrics.count_refused(bad + refused.len());
    for one in refused {
        faults.add(format!("/samples/{}", one.index), one.reason);
    }
    faults.finish()?;
    Ok(StatusCode::NO_CONTENT)
}

/// 403 if the token is bound to a service that one of these is not. A service that is not registered has no name.
async fn may_speak_for<'s>(
    who: &Caller,
    app: &App,
    services: impl Iterator<Item = &'s ServiceId> + Send,
) -> ApiResult<()> {
    let mut last = None;
    for service in services {
        if last == Some(service) {
            continue;
        }
        let mut known = app.registry.service(service);
        if known.is_none() && !who.speaks_for(service, "") {
            known = app.registry.find_service(service).await?;
        }
        who.must_speak_for(service, known.as_ref().map_or("", |known| known.service_name.as_str()))?;
        last = Some(service);
    }
    Ok(())
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Busy => Self::Unavailable("too many samples are waiting".to_owned(), 1),
            WriteError::Database(_) => Self::Internal(error.into()),
        }
    }
}

/// Which series.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SeriesQuery {
    /// Of this service.
    service_id: Option<ServiceId>,
    /// Of this name.
    metric_name: Option<String>,
    /// With these tags: `name:value`, several parted by commas.
    tag: Option<String>,
    /// At most this many, 1 to 1000; 100 when absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Lists series, by number.
#[utoipa::path(get, path = "/metrics/series", tag = "metrics", params(SeriesQuery), responses((status = 200, body = Page<SeriesInfo>), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("metrics:read"))))]
async fn list(
    _: MetricsRead,
    State(app): State<App>,
    Params(query): Params<SeriesQuery>,
) -> ApiResult<Json<Page<SeriesInfo>>> {
    let SeriesQuery { service_id, metric_name, tag, limit, after } = query;
    let filter = Filter { service_id, metric_name, tags: tags(tag.as_deref())? };
    let (limit, after) = (page::limit(limit)?, page::cursor::<SeriesId>(after.as_deref())?);
    let found = app.metrics.store.memory.find(&filter, after, limit + 1);
    let page = Page::new(found, limit, |series| series.series_id);
    Ok(Json(page.map(|series| SeriesInfo::from(series.as_ref()))))
}

/// What is asked of samples.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PointsQuery {
    /// What was measured.
    #[param(required = true)]
    metric_name: Option<String>,
    /// Whose.
    service_id: Option<ServiceId>,
    /// With these tags: `name:value`, several parted by commas.
    tag: Option<String>,
    /// The first moment, RFC 3339 or epoch milliseconds; an hour before `to` when absent.
    from: Option<String>,
    /// The last moment; the newest sample when absent.
    to: Option<String>,
    /// Seconds that become one point, in whole numbers; every point when absent.
    step: Option<String>,
    /// How the points of a step become one: `avg` (when absent), `min`, `max`, `sum`, `count`, `last`, `rate`, `increase`.
    agg: Option<String>,
}

/// Samples of one series.
#[derive(Serialize, ToSchema)]
struct SeriesPoints {
    /// Which series.
    #[serde(flatten)]
    series: SeriesInfo,
    /// Time and value, oldest first; with a step, the time is where it begins, and a step without samples is not there.
    #[schema(value_type = Vec<(String, f64)>)]
    points: Vec<(Timestamp, f64)>,
}

/// What was asked and what came of it.
#[derive(Serialize, ToSchema)]
struct Points {
    /// The first moment.
    from: Timestamp,
    /// The last moment.
    to: Timestamp,
    /// Seconds that became one point.
    step_seconds: Option<i64>,
    /// How they did.
    agg: Option<Aggregate>,
    /// Each series that fits, by number.
    items: Vec<SeriesPoints>,
}

/// What a query asks, understood.
struct Question {
    filter: Filter,
    from: Timestamp,
    to: Timestamp,
    /// Milliseconds, and how they become one point.
    step: Option<(i64, Aggregate)>,
}

/// Gives samples, as they are or by steps. A gap is a gap: nothing is invented.
#[utoipa::path(get, path = "/metrics/query", tag = "metrics", params(PointsQuery), responses((status = 200, body = Points), (status = 404, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("metrics:read"))))]
async fn query(_: MetricsRead, State(app): State<App>, Params(query): Params<PointsQuery>) -> ApiResult<Json<Points>> {
    let Question { filter, from, to, step } = understand(query, app.clock.now())?;
    let store = &app.metrics.store;
    if filter.service_id.is_some() {
        let named = Filter { tags: BTreeMap::new(), ..filter.clone() };
        store.memory.find(&named, None, 1).first().or_not_found("series")?;
    }
    let series = store.memory.find(&filter, None, MOST_SERIES + 1);
    if series.len() > MOST_SERIES {
        let message = format!("fits more than {MOST_SERIES} series: ask for a service or a tag");
        return Err(Faults::one("/metric_name", message).into());
    }
    let look_back = step.is_some_and(|(_, agg)| agg.looks_back());
    let after = to.plus(std::time::Duration::from_millis(1));
    let read = history::read(store, &series, Window { from, to: after, look_back }).await?;
    let mut items = Vec::with_capacity(series.len());
    for (series, points) in series.iter().zip(read) {
        let points = match step {
            Some((step, agg)) => super::aggregate::steps(&points, from.millis(), step, agg),
            None => points,
        };
        items.push(SeriesPoints { series: SeriesInfo::from(series.as_ref()), points: dated(points)? });
    }
    Ok(Json(Points { from, to, step_seconds: step.map(|(ms, _)| ms / 1000), agg: step.map(|(_, agg)| agg), items }))
}

/// The points as they are shown; 422 if they are too many for one answer.
fn dated(points: Vec<Point>) -> ApiResult<Vec<(Timestamp, f64)>> {
    if i64::try_from(points.len()).is_ok_and(|count| count > MOST_POINTS) {
        let message = format!("one series has more than {MOST_POINTS} points in this time: ask with a step");
        return Err(Faults::one("/step", message).into());
    }
    Ok(points.into_iter().filter_map(|(at, value)| Some((Timestamp::from_millis(at)?, value))).collect())
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::TooMany => Faults::one("/from", error.to_string()).into(),
            ReadError::Database(error) => error.into(),
        }
    }
}

fn understand(query: PointsQuery, now: Timestamp) -> ApiResult<Question> {
    let PointsQuery { metric_name, service_id, tag, from, to, step, agg } = query;
    let mut faults = Faults::new();
    faults.check(metric_name.as_deref().is_some_and(|name| !name.is_empty()), "/metric_name", || "is missing".into());
    let to = moment(&mut faults, "/to", to.as_deref()).unwrap_or_else(|| now.plus(ingest::AHEAD));
    let from = moment(&mut faults, "/from", from.as_deref()).unwrap_or_else(|| to.min(now).minus(LONG));
    faults.check(from < to, "/from", || format!("must be before to, which is {to}"));
    let agg = agg.and_then(|agg| match agg.parse::<Aggregate>() {
        Ok(agg) => Some(agg),
        Err(_) => {
            let known: Vec<_> = Aggregate::ALL.iter().map(|agg| agg.as_str()).collect();
            faults.add("/agg", format!("there is no {agg:?}; there are {}", known.join(", ")));
            None
        }
    });
    faults.check(agg.is_none() || step.is_some(), "/agg", || "needs a step".to_owned());
    let step = step.and_then(|step| step_ms(&mut faults, &step, to.millis().saturating_sub(from.millis())));
    faults.finish()?;
    let filter = Filter { service_id, metric_name, tags: tags(tag.as_deref())? };
    Ok(Question { filter, from, to, step: step.map(|step| (step, agg.unwrap_or(Aggregate::Avg))) })
}

/// Seconds in milliseconds, if they are good for a time of `length` milliseconds.
fn step_ms(faults: &mut Faults, step: &str, length: i64) -> Option<i64> {
    let Some(ms) = step.parse::<i64>().ok().filter(|step| (1..=i64::from(u32::MAX)).contains(step)).map(|s| s * 1000)
    else {
        faults.add("/step", "must be a whole number of seconds, at least 1");
        return None;
    };
    faults.check(length / ms < MOST_POINTS, "/step", || {
        let least = length / 1000 / MOST_POINTS + 1;
        format!("would give more than {MOST_POINTS} points: take at least {least} seconds")
    });
    Some(ms)
}

fn moment(faults: &mut Faults, place: &str, text: Option<&str>) -> Option<Timestamp> {
    let text = text?;
    let at = match text.parse::<i64>() {
        Ok(millis) => Timestamp::from_millis(millis),
        Err(_) => Timestamp::parse(text),
    };
    faults.check(at.is_some(), place, || "is neither an RFC 3339 time nor epoch milliseconds".to_owned());
    at
}

/// Reads `name:value,name:value`.
fn tags(text: Option<&str>) -> ApiResult<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    for pair in text.unwrap_or("").split(',').filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once(':') else {
            return Err(Faults::one("/tag", format!("must be name:value, is {pair:?}")).into());
        };
        tags.insert(name.to_owned(), value.to_owned());
    }
    Ok(tags)
}
