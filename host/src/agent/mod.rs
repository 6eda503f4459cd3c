//! The agent: registers the machine that it runs on as a node, says that it is there, and sends what it measures.
//!
//! It never gives up: while the server is away it tries again with growing pauses, and it registers again when the
//! server does not know it any more. What it measures meanwhile is lost; it sends nothing that it has not just measured.

mod host;

use std::{future::Future, time::Duration};

use crate::{
    client::{Beat, Client, ClientError, Measurement, NewNode},
    clock::Clock,
    ids::{Ids, NodeId},
};

pub use host::{default_node_id, local_address};

/// The pause after the first failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What an agent is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// The key of the node.
    pub node_id: NodeId,
    /// The address of the machine.
    pub host_address: String,
    /// The port that the machine is reached at.
    pub port: u16,
    /// How often it beats and measures.
    pub interval: Duration,
}

/// Runs until `stop` ends.
pub async fn run(client: &Client, config: Config, clock: Clock, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let agent = Agent { client, machine: host::Machine::new()?, ids: Ids::new(clock.clone()), config, clock };
    tokio::select! {
        () = stop => Ok(()),
        ended = agent.work() => ended,
    }
}

struct Agent<'c> {
    client: &'c Client,
    config: Config,
    clock: Clock,
    ids: Ids,
    machine: host::Machine,
}

impl Agent<'_> {
    async fn work(mut self) -> anyhow::Result<()> {
        let mut registered = false;
        let mut failures: u32 = 0;
        loop {
            let pause = match self.round(&mut registered).await {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!(failures, "the server answers again");
                    }
                    failures = 0;
                    self.config.interval
                }
                Err(Failure::Machine(error)) => return Err(error),
                Err(Failure::Server(error)) => {
                    failures = failures.saturating_add(1);
                    let pause = pause(failures, self.ids.random());
                    let seconds = pause.as_secs_f64();
                    let error = format!("{:#}", anyhow::Error::new(error));
                    tracing::warn!(error, failures, "could not report: trying again in {seconds:.1} s");
                    pause
                }
            };
            self.clock.sleep(pause).await;
        }
    }

    /// Registers or beats, measures and sends.
    async fn round(&mut self, registered: &mut bool) -> Result<(), Failure> {
        if !*registered || self.client.beat_node(self.config.node_id.as_str()).await? == Beat::Unknown {
            *registered = false;
            self.client.register_node(&self.node()).await?;
            tracing::info!(node.id = %self.config.node_id, server = %self.client.server(), "registered this node");
            *registered = true;
        }
        let now = self.clock.now();
        let samples = self.machine.measure(&self.config.node_id, now).await.map_err(Failure::Machine)?;
        self.report(&samples).await
    }

    async fn report(&self, samples: &[Measurement]) -> Result<(), Failure> {
        match self.client.send_samples(samples).await {
            // The good ones are kept, and the others would not become better.
            Err(ClientError::Refused(problem)) if problem.status == 422 => {
                tracing::warn!(error = %problem, "the server refused some of the samples");
                Ok(())
            }
            sent => Ok(sent?),
        }
    }

    fn node(&self) -> NewNode {
        let Config { node_id, host_address, port, interval } = self.config.clone();
        NewNode {
            node_name: node_id.0.clone(),
            node_id: node_id.0,
            node_type: "worker",
            host_address,
            port,
            capabilities: self.machine.capabilities(),
            resources: self.machine.resources(),
            ttl_seconds: (3 * interval.as_secs()).clamp(15, 86_400),
        }
    }
}

enum Failure {
    /// The server does not do what it is asked for.
    Server(ClientError),
    /// This machine cannot be measured.
    Machine(anyhow::Error),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Server(error)
    }
}

/// The pause after so many failures in a row, up to a quarter longer by chance, so that not all come back at once.
fn pause(failures: u32, chance: [u8; 1]) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1)));
    let pause = doubled.min(LONGEST_PAUSE);
    pause + pause.mul_f64(f64::from(chance[0]) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_growing() {
        let seconds: Vec<u64> = (1..9).map(|failures| pause(failures, [0]).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(pause(u32::MAX, [255]) < LONGEST_PAUSE.mul_f64(1.25));
    }
}
