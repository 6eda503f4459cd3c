//! How soon everybody knows: of a service that falls silent, of one that leaves, and how soon the control plane is back.
//!
//! A service that dies is a task whose connection breaks in the middle of what it does and that sends nothing more, as when its process
//! is killed. All others go on beating.

use std::{
    collections::HashMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{interval, sleep, timeout},
};

use super::{
    Failed, Outcome, Plan, Promise,
    beating::{Beating, beat, shown},
    contenders::service,
    figures::{Millis, Times},
    servers::Looma,
};
use crate::{
    events::Events,
    load::{Connection, request},
};

/// How soon a service that leaves is to be gone everywhere.
const LEFT: Duration = Duration::from_secs(1);
/// How soon the control plane is to answer with everything.
const BACK: Duration = Duration::from_secs(10);
/// Beyond the wanted time, so long is waited before there is no figure.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whom a subscriber was told to be gone, and when.
type Told = (String, Instant);

/// Lets services die, lets them leave, kills the control plane; says how long it took until that was known, or over.
pub async fn failover(plan: &Plan, say: impl Fn(&str)) -> Outcome {
    let looma = Looma::start(plan, 15).await?;
    let mut others = Beating::start(&looma, plan.services, 15, plan.every).await?;
    others.go_on(plan.every * 2).await?;
    let mut text = format!("{} other services beat, {} subscribers watch\n", plan.services, plan.subscribers);
    for promise in &plan.promises {
        let times = silence(plan, &looma, promise).await?;
        let Promise { what, ttl_seconds, every, wanted } = promise;
        let line = format!(
            "from the death of a service to each subscriber, {what} (time-to-live {ttl_seconds} s, a heartbeat each {}): {times} \
             (wanted: p99 {})",
            Millis(*every),
            Millis(*wanted)
        );
        say(&line);
        writeln!(text, "{line}")?;
    }
    let times = leave(plan, &looma).await?;
    let line = format!("from a service's leave to each subscriber: {times} (wanted: {})", Millis(LEFT));
    say(&line);
    writeln!(text, "{line}")?;
    let all = shown(&looma).await?;
    drop(others);
    let began = Instant::now();
    let looma = looma.kill_and_start()?;
    let listening = began.elapsed();
    while shown(&looma).await? < all {
        sleep(Duration::from_millis(5)).await;
    }
    writeln!(
        text,
        "from kill -9 of the control plane to an answer with all {all} services: {} (wanted: {}); it listened after {}",
        Millis(began.elapsed()),
        Millis(BACK),
        Millis(listening)
    )?;
    Ok(text)
}

/// The subscribers of a server.
struct Subscribers {
    told: mpsc::UnboundedReceiver<Told>,
    count: usize,
    _watching: JoinSet<Result<(), Failed>>,
}

impl Subscribers {
    async fn start(looma: &Looma, count: usize) -> Result<Self, Failed> {
        let (tell, told) = mpsc::unbounded_channel();
        let mut watching = JoinSet::new();
        for _ in 0..count {
            let events = Events::open(looma.address, &looma.token, "/api/v1/watch?topics=services").await?;
            watching.spawn(watch(events, tell.clone()));
        }
        Ok(Self { told, count, _watching: watching })
    }

    /// Waits until each has been told of all that are gone since the times given; gives how long that took for each of both.
    async fn all_know(&mut self, gone: &HashMap<String, Instant>, patience: Duration) -> Result<Times, Failed> {
        let mut times = Times::default();
        while times.count() < gone.len() * self.count {
            let missing = gone.len() * self.count - times.count();
            let told = timeout(patience, self.told.recv()).await;
            let told = told.map_err(|_| format!("{missing} of the subscribers' notices are missing"))?;
            let (id, at) = told.ok_or("nobody watches any more")?;
            if let Some(since) = gone.get(&id) {
                times.add(at.saturating_duration_since(*since));
            }
        }
        Ok(times)
    }
}

async fn watch(mut events: Events, tell: mpsc::UnboundedSender<Told>) -> Result<(), Failed> {
    loop {
        let event = events.next().await?;
        let at = Instant::now();
        let gone = event.data.contains(r#""health_status":"critical""#) || event.data.contains(r#""op":"delete""#);
        let key = event.data.split_once(r#""key":""#).and_then(|(_, rest)| rest.split('"').next());
        if let Some(key) = key.filter(|_| gone) {
            tell.send((key.to_owned(), at))?;
        }
    }
}

/// Services that beat, each in a task of its own.
async fn living(
    looma: &Looma,
    what: &str,
    count: usize,
    promise: &Promise,
    tasks: &mut JoinSet<Result<(), Failed>>,
) -> Result<Vec<(String, AbortHandle)>, Failed> {
    let mut all = Vec::with_capacity(count);
    for n in 0..count {
        let id = format!("{what}-{}-{n}", promise.ttl_seconds);
        let mut connection = Connection::try_open(looma.address).await?;
        let body = service(&id, what, promise.ttl_seconds);
        let status = connection.try_send(&request("POST", "/api/v1/services", &looma.token, &body)).await?;
        let beat = beat(looma, &id);
        if status >= 300 || connection.try_send(&beat).await? != 204 {
            return Err(format!("{id} could not be registered: {status}").into());
        }
        all.push((id, tasks.spawn(live(connection, beat, promise.every))));
    }
    Ok(all)
}

async fn live(mut connection: Connection, beat: Vec<u8>, every: Duration) -> Result<(), Failed> {
    let mut turns = interval(every);
    loop {
        turns.tick().await;
        connection.try_send(&beat).await?;
    }
}

/// Services die one after the other, at all points of their time between two heartbeats.
async fn silence(plan: &Plan, looma: &Looma, promise: &Promise) -> Result<Times, Failed> {
    let mut tasks = JoinSet::new();
    let victims = living(looma, "dies", plan.changes, promise, &mut tasks).await?;
    let mut subscribers = Subscribers::start(looma, plan.subscribers).await?;
    let mut gone = HashMap::new();
    for (n, (id, task)) in victims.into_iter().enumerate() {
        // A step that is in no simple proportion to a second or to the time between heartbeats.
        sleep(Duration::from_millis(137 + 61 * u64::try_from(n % 7)?)).await;
        task.abort();
        gone.insert(id, Instant::now());
    }
    subscribers.all_know(&gone, promise.wanted + PATIENCE).await
}

/// Services say good-bye one after the other.
async fn leave(plan: &Plan, looma: &Looma) -> Result<Times, Failed> {
    let mut tasks = JoinSet::new();
    let promise = plan.promises.first().ok_or("no service promises anything")?;
    let leaving = living(looma, "leaves", plan.changes, promise, &mut tasks).await?;
    let mut subscribers = Subscribers::start(looma, plan.subscribers).await?;
    let (mut times, mut connection) = (Times::default(), Connection::try_open(looma.address).await?);
    for (id, task) in leaving {
        task.abort();
        let goodbye = request("DELETE", &format!("/api/v1/services/{id}"), &looma.token, "");
        let since = Instant::now();
        let status = connection.try_send(&goodbye).await?;
        if status != 204 {
            return Err(format!("{id} could not leave: {status}").into());
        }
        times.merge(subscribers.all_know(&HashMap::from([(id, since)]), PATIENCE).await?);
    }
    Ok(times)
}
