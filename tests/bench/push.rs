//! How soon those who watch know of a change.

use std::time::{Duration, Instant};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Failed,
    contenders::{Request, service, stamp_in},
    figures::Times,
    servers::Looma,
};
use crate::{
    events::{Events, find},
    load::{Connection, request},
};

const NAME: &str = "pushed";
/// How long a change may take to be everywhere.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two changes, so that all have asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// Who was told of which change, and when.
type Told = (u32, Instant);

/// Times from a change to each of the subscribers: by `/watch`, and by long poll.
pub async fn push(looma: &Looma, subscribers: usize, changes: usize) -> Result<(Times, Times), Failed> {
    let mut change = Change::begin(looma).await?;
    let (tell, told) = mpsc::unbounded_channel();
    let mut watching = JoinSet::new();
    for _ in 0..subscribers {
        let events = Events::open(looma.address, &looma.token, "/api/v1/watch?topics=services").await?;
        watching.spawn(watch(events, tell.clone()));
    }
    let by_watch = change.measure(subscribers, changes, told, &mut watching).await?;
    watching.shutdown().await;
    let (tell, told) = mpsc::unbounded_channel();
    let mut polling = JoinSet::new();
    let revision = change.revision;
    for _ in 0..subscribers {
        let connection = Connection::try_open(looma.address).await?;
        polling.spawn(poll(connection, looma.token.clone(), revision, tell.clone()));
    }
    let by_poll = change.measure(subscribers, changes, told, &mut polling).await?;
    polling.shutdown().await;
    Ok((by_watch, by_poll))
}

/// A service that is registered anew with something else to say of it.
struct Change {
    connection: Connection,
    register: Request,
    revision: i64,
}

impl Change {
    async fn begin(looma: &Looma) -> Result<Self, Failed> {
        let body = service(NAME, NAME, 3600);
        let register = Request::stamped(request("POST", "/api/v1/services", &looma.token, &body));
        let mut begun = Self { connection: Connection::try_open(looma.address).await?, register, revision: 0 };
        begun.make().await?;
        Ok(begun)
    }

    async fn make(&mut self) -> Result<Told, Failed> {
        let stamp = self.register.renew();
        let sent = Instant::now();
        let status = self.connection.try_send(&self.register.bytes).await?;
        let revision = number_after(self.connection.body(), br#""revision":"#);
        self.revision =
            revision.filter(|_| status < 300).ok_or_else(|| format!("a registration was answered {status}"))?;
        Ok((stamp, sent))
    }

    async fn measure(
        &mut self,
        subscribers: usize,
        changes: usize,
        mut told: mpsc::UnboundedReceiver<Told>,
        others: &mut JoinSet<Result<(), Failed>>,
    ) -> Result<Times, Failed> {
        let mut times = Times::default();
        for _ in 0..changes {
            sleep(PAUSE).await;
            let (stamp, sent) = self.make().await?;
            for _ in 0..subscribers {
                let (seen, at) = tokio::select! {
                    told = timeout(PATIENCE, told.recv()) => told?.ok_or("nobody watches any more")?,
                    Some(ended) = others.join_next() => return Err(format!("a subscriber ended: {ended:?}").into()),
                };
                if seen != stamp {
                    return Err(format!("a subscriber was told of {seen}, not of {stamp}").into());
                }
                times.add(at.saturating_duration_since(sent));
            }
        }
        Ok(times)
    }
}

async fn watch(mut events: Events, tell: mpsc::UnboundedSender<Told>) -> Result<(), Failed> {
    loop {
        let event = events.next().await?;
        let at = Instant::now();
        if let Some(stamp) = stamp_in(event.data.as_bytes()).filter(|_| event.data.contains(r#""key":"pushed""#)) {
            tell.send((stamp, at))?;
        }
    }
}

async fn poll(
    mut connection: Connection,
    token: String,
    mut revision: i64,
    tell: mpsc::UnboundedSender<Told>,
) -> Result<(), Failed> {
    loop {
        let path = format!("/api/v1/discovery/{NAME}?revision={revision}&wait=60");
        let status = connection.try_send(&request("GET", &path, &token, "")).await?;
        let at = Instant::now();
        let body = connection.body();
        let newer =
            number_after(body, br#""revision":"#).ok_or_else(|| format!("a long poll was answered {status}"))?;
        if newer > revision {
            tell.send((stamp_in(body).ok_or("a long poll shows no stamp")?, at))?;
        }
        revision = newer;
    }
}

/// The number that stands after `name` in JSON.
pub fn number_after(text: &[u8], name: &[u8]) -> Option<i64> {
    let at = find(text, name)? + name.len();
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[at..at + digits]).ok()?.parse().ok()
}
