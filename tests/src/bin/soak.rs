//! Lets a server with fifty plugins run for as long as asked, while one of them is swapped every 2 s, or as often as asked, and some
//! of them misbehave: `soak SECONDS [MILLISECONDS_BETWEEN_SWAPS]`.
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
    let numbers: Option<Vec<u64>> =
        std::iter::once(first).chain(arguments).map(|text| text.to_str().and_then(|text| text.parse().ok())).collect();
    let Some([seconds, between @ ..]) = numbers.as_deref() else {
        eprintln!("soak SECONDS [MILLISECONDS_BETWEEN_SWAPS]");
        return ExitCode::from(2);
    };
    let own = std::env::current_exe().expect("a program that runs has a file");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let say = |line: &str| {
        let mut out = std::io::stdout();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    };
    let mut plan = Plan::of(Duration::from_secs(*seconds), own);
    if let Some(between) = between.first() {
        plan.reload_every = Duration::from_millis((*between).max(1));
    }
    let report = runtime.block_on(soak::run(&plan, say));
    report.faults().iter().for_each(|fault| say(fault));
    say(&report.to_string());
    if report.faults().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
