//! The command line: a file a subcommand.

mod agent;
mod list;
mod dev;
mod import;
mod openapi;
mod plugin;
mod serve;
mod signing;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::wasm::compile;

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
    /// Runs a server for trying Looma and for writing plugins: builds the bundled ones, and rebuilds what changes.
    Dev(dev::Dev),
    /// Looks at plugins, and makes components of their sources.
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    /// Takes over what other systems had.
    #[command(subcommand)]
    Import(import::Import),
    /// Prints the OpenAPI document.
    Openapi,
    /// Compiles a component in a process of its own; a server calls it.
    #[command(hide = true, name = compile::SUBCOMMAND)]
    CompileComponent {
        #[arg(num_args = 0..)]
        arguments: Vec<OsString>,
    },
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
        Command::Dev(dev) => dev.run(),
        Command::Plugin(plugin) => plugin.run(),
        Command::Import(import) => import.run(),
        Command::CompileComponent { arguments } => return compile::compile_child_main(arguments),
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
