//! Services that live as services do: each beats every few seconds, evenly spread. What does it cost, and is any of them taken for
//! dead?

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{task::JoinSet, time};

use super::{Failed, Outcome, Plan, contenders::service, figures::Millis, servers::Looma};
use crate::{
    events::Events,
    load::{Connection, request},
};

/// How many registrations a request holds, and how many services a page.
const PAGE: usize = 1000;
/// How many connections the heartbeats come over.
const CONNECTIONS: usize = 64;

/// Services that beat until the value goes.
pub struct Beating {
    lanes: JoinSet<Result<(), Failed>>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    beats: AtomicU64,
    /// How much later than meant a beat was answered, at most, in microseconds.
    latest: AtomicU64,
}

impl Beating {
    /// Registers `services` and lets each beat every `every`.
    pub async fn start(looma: &Looma, services: usize, ttl_seconds: u32, every: Duration) -> Result<Self, Failed> {
        register(looma, services, ttl_seconds).await?;
        let (seen, mut lanes) = (Arc::new(Seen::default()), JoinSet::new());
        let connections = CONNECTIONS.min(services.max(1));
        for lane in 0..connections {
            let own: Vec<Vec<u8>> = (lane..services).step_by(connections).map(|n| beat(looma, &id(n))).collect();
            lanes.spawn(beat_on(looma.address, own, every, seen.clone()));
        }
        Ok(Self { lanes, seen })
    }

    /// Waits; fails if a heartbeat did.
    pub async fn go_on(&mut self, length: Duration) -> Result<(), Failed> {
        tokio::select! {
            () = time::sleep(length) => Ok(()),
            Some(ended) = self.lanes.join_next() => Err(format!("a heartbeat failed: {ended:?}").into()),
        }
    }
}

fn id(n: usize) -> String {
    format!("beats-{n}")
}

/// The heartbeat of a service, ready to be sent.
pub fn beat(looma: &Looma, id: &str) -> Vec<u8> {
    request("POST", &format!("/api/v1/services/{id}/heartbeat"), &looma.token, "")
}

async fn register(looma: &Looma, services: usize, ttl_seconds: u32) -> Result<(), Failed> {
    let mut connection = Connection::try_open(looma.address).await?;
    let all: Vec<String> = (0..services).map(|n| service(&id(n), &format!("name-{}", n / 10), ttl_seconds)).collect();
    for page in all.chunks(PAGE) {
        let body = format!(r#"{{"services":[{}]}}"#, page.join(","));
        let status = connection.try_send(&request("POST", "/api/v1/services/batch", &looma.token, &body)).await?;
        if status != 200 {
            return Err(format!("a batch was answered {status}").into());
        }
    }
    Ok(())
}

/// Beats for services in turn, so that each of them does every `every`.
async fn beat_on(address: SocketAddr, own: Vec<Vec<u8>>, every: Duration, seen: Arc<Seen>) -> Result<(), Failed> {
    let mut connection = Connection::try_open(address).await?;
    let mut turns = time::interval(every / u32::try_from(own.len().max(1))?);
    for beat in own.iter().cycle() {
        let meant = turns.tick().await;
        let status = connection.try_send(beat).await?;
        if status != 204 {
            return Err(format!("a heartbeat was answered {status}").into());
        }
        seen.beats.fetch_add(1, Ordering::Relaxed);
        seen.latest.fetch_max(u64::try_from(meant.elapsed().as_micros())?, Ordering::Relaxed);
    }
    Ok(())
}

/// Lets services beat for as long as asked, and says what that took.
pub async fn ten_minutes(plan: &Plan, say: impl Fn(&str)) -> Outcome {
    let looma = Looma::start(plan, 15).await?;
    let mut beating = Beating::start(&looma, plan.services, 15, plan.every).await?;
    // Until each has sent its first, with which it comes to life.
    beating.go_on(plan.every * 2).await?;
    let not_healthy = false_states(&looma, plan.services).await?;
    if !not_healthy.is_empty() {
        return Err(format!("of all who beat, {} are not healthy at the beginning", not_healthy.len()).into());
    }
    let events = Events::open(looma.address, &looma.token, "/api/v1/watch?topics=services").await?;
    let (changes, mut watching) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
    watching.spawn(count(events, changes.clone()));
    let (began, usage, database) = (Instant::now(), looma.usage(), looma.database_usage());
    let beats = beating.seen.beats.load(Ordering::Relaxed);
    let minute = Duration::from_secs(60).min(plan.length);
    while began.elapsed() < plan.length {
        beating.go_on(minute.min(plan.length.saturating_sub(began.elapsed()))).await?;
        let share = looma.usage().share_since(&usage, began.elapsed());
        say(&format!("{:.0} s: {:.1} % of one core", began.elapsed().as_secs_f64(), share * 100.0));
    }
    let took = began.elapsed();
    let (after, beats) = (looma.usage(), beating.seen.beats.load(Ordering::Relaxed) - beats);
    let not_healthy = false_states(&looma, plan.services).await?;
    let mut text = format!(
        "{} services, each beating every {}, for {:.0} s: {beats} heartbeats ({:.0}/s), the latest {} late\n",
        plan.services,
        Millis(plan.every),
        took.as_secs_f64(),
        beats as f64 / took.as_secs_f64(),
        Millis(Duration::from_micros(beating.seen.latest.load(Ordering::Relaxed))),
    );
    writeln!(text, "server: {:.1} % of one core (wanted: at most 50)", after.share_since(&usage, took) * 100.0)?;
    writeln!(text, "server: resident {:.1} MiB before, {:.1} MiB after", usage.mib(), after.mib())?;
    if let (Some(before), Some(after)) = (database, looma.database_usage()) {
        writeln!(text, "PostgreSQL beside it: {:.1} % of one core", after.share_since(&before, took) * 100.0)?;
    }
    let seen = changes.load(Ordering::Relaxed);
    writeln!(
        text,
        "false expiries: {seen} changes of health were seen, {} services are not healthy at the end (wanted: 0, 0)",
        not_healthy.len()
    )?;
    Ok(text)
}

/// Counts changes of services: of those that do nothing but beat there are none.
async fn count(mut events: Events, changes: Arc<AtomicU64>) -> Result<(), Failed> {
    loop {
        events.next().await?;
        changes.fetch_add(1, Ordering::Relaxed);
    }
}

/// The services that are not shown as healthy; fails if there are not as many as there should be.
async fn false_states(looma: &Looma, services: usize) -> Result<Vec<String>, Failed> {
    let (mut wrong, mut found) = (Vec::new(), 0);
    let mut connection = Connection::try_open(looma.address).await?;
    let mut after = String::new();
    loop {
        let path = format!("/api/v1/services?limit={PAGE}{after}");
        let status = connection.try_send(&request("GET", &path, &looma.token, "")).await?;
        let page: Value = serde_json::from_slice(connection.body())?;
        let items = page["items"].as_array().ok_or_else(|| format!("a list was answered {status}"))?;
        found += items.len();
        let bad = items.iter().filter(|service| service["health_status"] != "healthy");
        wrong.extend(bad.map(|service| service["service_id"].to_string()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None if found == services => return Ok(wrong),
            None => return Err(format!("there are {found} services, not {services}").into()),
        }
    }
}

/// How many services a server shows.
pub async fn shown(looma: &Looma) -> Result<usize, Failed> {
    let (mut found, mut after) = (0, String::new());
    let mut connection = Connection::try_open(looma.address).await?;
    loop {
        let path = format!("/api/v1/services?limit={PAGE}{after}");
        if connection.try_send(&request("GET", &path, &looma.token, "")).await? != 200 {
            return Ok(found);
        }
        let page: Value = serde_json::from_slice(connection.body())?;
        found += page["items"].as_array().map_or(0, Vec::len);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(found),
        }
    }
}
