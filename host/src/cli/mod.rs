//! The command line: a file a subcommand.

mod agent;
mod list;
mod openapi;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A control plane in one binary.
#[derive(Parser)]
#[command(name = "looma", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a server.
    Serve(serve::Serve),
    /// Reports the machine that it runs on to a server, as a node.
    Agent(agent::Agent),
    /// Looks at services.
    #[command(subcommand)]
    Service(list::Look),
    /// Looks at nodes.
    #[command(subcommand)]
    Node(list::Look),
    /// Looks at alerts.
    #[command(subcommand)]
    Alert(list::Look),
    /// Looks at plugins.
    #[command(subcommand)]
    Plugin(list::Look),
    /// Prints the OpenAPI document.
    Openapi,
}

/// Does what the command line says. Exit codes: 0 done, 1 failed, 2 wrong use.
pub fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let done = match command {
        Command::Serve(serve) => serve.run(),
        Command::Agent(agent) => agent.run(),
        Command::Service(look) => look.run(list::SERVICES),
        Command::Node(look) => look.run(list::NODES),
        Command::Alert(look) => look.run(list::ALERTS),
        Command::Plugin(look) => look.run(list::PLUGINS),
        Command::Openapi => openapi::print(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("looma: {error:#}");
            ExitCode::FAILURE
        }
    }
}
