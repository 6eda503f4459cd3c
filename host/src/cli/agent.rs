//! `looma agent`.

use std::time::Duration;

use anyhow::Context as _;

use super::{list::client, serve};
use crate::{
    agent::{self, Config},
    clock::Clock,
    ids::NodeId,
    run,
    settings::Connect,
};

/// What `looma agent` takes.
#[derive(clap::Args)]
pub struct Agent {
    #[command(flatten)]
    connect: Connect,
    /// The key of this node; the name of the machine when absent.
    #[arg(long, value_name = "ID")]
    node_id: Option<String>,
    /// The address of this machine; the one it has towards the server when absent.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// The port that this machine is reached at.
    #[arg(long, default_value_t = 22, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Seconds between two heartbeats.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
}

impl Agent {
    pub fn run(self) -> anyhow::Result<()> {
        serve::start_logs();
        let Self { connect, node_id, address, port, interval } = self;
        let client = client(&connect)?;
        let node_id = node_id.map_or_else(agent::default_node_id, |id| Ok(NodeId(id)))?;
        let host_address = match address {
            Some(address) => address,
            None => {
                let server = client.server();
                let host = server.host_str().context("the server's address has no host")?;
                agent::local_address(host, server.port_or_known_default().unwrap_or(80))?
            }
        };
        let config = Config { node_id, host_address, port, interval: Duration::from_secs(interval) };
        serve::runtime()?.block_on(async {
            let stop = async {
                if let Err(error) = run::signal().await {
                    tracing::error!(error = format!("{error:#}"), "could not wait for a signal");
                }
            };
            agent::run(&client, config, Clock::system(), stop).await
        })
    }
}
