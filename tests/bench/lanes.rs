//! Sending as fast as answers come, over so many connections at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{
    Failed,
    contenders::{Contender, Kind, Request},
    figures::Times,
};
use crate::load::Connection;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Done {
    pub times: Times,
    pub took: Duration,
}

impl Done {
    pub fn a_second(&self) -> f64 {
        self.times.count() as f64 / self.took.as_secs_f64()
    }
}

/// Until when is sent.
#[derive(Clone, Copy)]
pub enum Until {
    /// Each request was sent once.
    Once,
    /// So much time has passed.
    Passed(Duration),
}

/// The requests of a kind about `services` services.
pub fn prepared(contender: &Contender, kind: Kind, services: usize) -> Arc<Vec<Request>> {
    Arc::new((0..services).map(|n| contender.request(kind, n)).collect())
}

/// Sends requests of one kind over `connections` connections. Each must be answered well.
pub async fn drive(
    contender: &Contender,
    kind: Kind,
    requests: &Arc<Vec<Request>>,
    connections: usize,
    until: Until,
) -> Result<Done, Failed> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::try_open(contender.address).await?);
    }
    let (began, mut lanes) = (Instant::now(), JoinSet::new());
    for (number, connection) in open.into_iter().enumerate() {
        let lane = Lane { contender: contender.clone(), kind, requests: requests.clone(), number, connections };
        lanes.spawn(lane.send(connection, began, until));
    }
    let mut done = Done::default();
    while let Some(lane) = lanes.join_next().await {
        done.times.merge(lane??);
    }
    done.took = began.elapsed();
    Ok(done)
}

struct Lane {
    contender: Contender,
    kind: Kind,
    requests: Arc<Vec<Request>>,
    number: usize,
    connections: usize,
}

impl Lane {
    async fn send(self, mut connection: Connection, began: Instant, until: Until) -> Result<Times, Failed> {
        // Lanes share the services between them; where there are fewer, several have the same.
        let own = self.requests.iter().skip(self.number % self.requests.len()).step_by(self.connections);
        let mut own: Vec<Request> = own.cloned().collect();
        let mut times = Times::default();
        if matches!(until, Until::Once) && self.number >= self.requests.len() {
            return Ok(times);
        }
        loop {
            for request in &mut own {
                request.renew();
                let sent = Instant::now();
                let status = connection.try_send(&request.bytes).await?;
                let answered = Instant::now();
                times.add(answered - sent);
                if !self.contender.is_answered(self.kind, status, connection.body()) {
                    let body = String::from_utf8_lossy(connection.body()).into_owned();
                    return Err(
                        format!("{} answered {:?} with {status}: {body}", self.contender.name, self.kind).into()
                    );
                }
                if matches!(until, Until::Passed(length) if answered - began >= length) {
                    return Ok(times);
                }
            }
            if matches!(until, Until::Once) {
                return Ok(times);
            }
        }
    }
}
