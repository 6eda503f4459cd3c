//! Lets a server with fifty plugins run for as long as asked, while they are swapped and some of them misbehave: `soak SECONDS`.
//! Exit codes: 0 nothing was lost and memory is flat, 1 something was found, 2 wrong use.

use std::{io::Write as _, process::ExitCode, time::Duration};

use looma::wasm::compile;
use looma_tests::soak::{self, Plan};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next().unwrap_or_default();
    if first == compile::SUBCOMMAND {
        // The server starts this very binary to compile in.
        return compile::compile_child_main(arguments);
    }
    let Some(seconds) = first.to_str().and_then(|text| text.parse().ok()) else {
        eprintln!("soak SECONDS");
        return ExitCode::from(2);
    };
    let own = std::env::current_exe().expect("a program that runs has a file");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let say = |line: &str| {
        let mut out = std::io::stdout();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    };
    let report = runtime.block_on(soak::run(&Plan::of(Duration::from_secs(seconds), own), say));
    report.faults().iter().for_each(|fault| say(fault));
    say(&report.to_string());
    if report.faults().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
