//! Drives one target of `looma_tests::fuzz` for as long as asked: `fuzz TARGET SECONDS [SEED]`. An input that breaks a law is written to
//! `target/fuzz-TARGET`.

use std::{
    io::Write as _,
    process::ExitCode,
    time::{Duration, Instant},
};

use looma_tests::{fuzz::Target, root};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u64>().ok());
    let target = Target::ALL.into_iter().find(|target| arguments.first().is_some_and(|name| name == target.as_str()));
    let (Some(target), Some(seconds)) = (target, number(1)) else {
        eprintln!("fuzz TARGET SECONDS [SEED], where TARGET is one of {}", Target::ALL.map(Target::as_str).join(", "));
        return ExitCode::from(2);
    };
    let began = Instant::now();
    let seed = number(2).unwrap_or_else(|| u64::from(std::process::id()));
    let mut out = std::io::stdout();
    match target.drive(seed, |_| began.elapsed() < Duration::from_secs(seconds)) {
        Ok(tried) => {
            let _ = writeln!(out, "{}: {tried} inputs of seed {seed}, no law broken", target.as_str());
            ExitCode::SUCCESS
        }
        Err(input) => {
            let file = root().join("target").join(format!("fuzz-{}", target.as_str()));
            let written = std::fs::write(&file, input);
            let _ = writeln!(out, "seed {seed}: a law is broken by {}: {written:?}", file.display());
            ExitCode::FAILURE
        }
    }
}
