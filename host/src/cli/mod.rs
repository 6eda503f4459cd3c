//! The command line: a file a subcommand.

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
    /// Prints the OpenAPI document.
    Openapi,
}

/// Does what the command line says. Exit codes: 0 done, 1 failed, 2 wrong use.
pub fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let done = match command {
        Command::Serve(serve) => serve.run(),
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
