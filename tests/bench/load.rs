//! Measures the registry under load, beside r-nacos where that is installed: `load --help`.
//! Exit codes: 0 measured, 1 failed, 2 wrong use.

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use looma_tests::{
    bench::{self, Plan},
    root,
};

const HELP: &str = "\
load compare     [--large] [--rounds 3] [--seconds 5] [--connections 16,64,256] [--services N] [--subscribers 1000] [--changes 30]
load ten-minutes [SECONDS (600)] [--services 10000]
load watchers    [COUNT (10000)] [--seconds 30]
load failover    [--services 10000] [--subscribers 100] [--changes 20]

Builds nothing: first `cargo build --release` and `cargo build --release -p tests --bin load`, then run
target/release/load on a machine that does nothing else. All servers are started by it, on loopback, and ended by it.

compare      heartbeats, lists and registrations a second through the paths of Nacos v1 and through Looma's own, with p50 and p99;
             memory with 10,000 services (100,000 with --large); time from a change to 1,000 subscribers. In turns with r-nacos
             (`rnacos` on PATH or RNACOS=FILE); where r-nacos panics, all is measured again.
ten-minutes  services that beat every 5 s: share of one core, services taken for dead that are not
watchers     idle watchers: memory of each
failover     from the death of a service, and from its leave, to each of the subscribers; from kill -9 of the control plane to
             an answer with all services

--looma FILE   the server's binary (target/release/looma)
--postgres     on PostgreSQL, whose server is started too, with each commit synced, in the place of SQLite
--threads N    threads of this client (1)
";

fn main() -> ExitCode {
    let asked = match Asked::read(std::env::args().skip(1)) {
        Ok(Some(asked)) => asked,
        Ok(None) => return said(HELP, ExitCode::SUCCESS),
        Err(why) => {
            eprintln!("{why}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    bench::open_many_files();
    let runtime = match asked.threads {
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        threads => tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    };
    let Asked { command, plan, .. } = asked;
    let say = |line: &str| eprintln!("{line}");
    let outcome = runtime.expect("a runtime starts").block_on(async {
        match command {
            Command::Compare => bench::compare(&plan, say).await,
            Command::TenMinutes => bench::ten_minutes(&plan, say).await,
            Command::Watchers => bench::watchers(&plan, say).await,
            Command::Failover => bench::failover(&plan, say).await,
        }
    });
    match outcome {
        Ok(figures) => said(&format!("{}\n{figures}", plan.heading()), ExitCode::SUCCESS),
        Err(why) => {
            eprintln!("there are no figures: {why}");
            ExitCode::FAILURE
        }
    }
}

fn said(text: &str, code: ExitCode) -> ExitCode {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

#[derive(Clone, Copy)]
enum Command {
    Compare,
    TenMinutes,
    Watchers,
    Failover,
}

struct Asked {
    command: Command,
    plan: Plan,
    threads: usize,
}

impl Asked {
    /// `None`: help is wanted.
    fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let word = words.next().unwrap_or_default();
        let mut plan = Plan::of(root().join("target/release/looma"));
        let command = match word.as_str() {
            "compare" => Command::Compare,
            "ten-minutes" => Command::TenMinutes,
            "watchers" => Command::Watchers,
            "failover" => Command::Failover,
            "--help" | "-h" | "help" => return Ok(None),
            other => return Err(format!("there is no {other:?}")),
        };
        match command {
            Command::Compare => plan.rnacos = rnacos(),
            Command::TenMinutes => plan.length = Duration::from_secs(600),
            Command::Watchers => (plan.subscribers, plan.length) = (10_000, Duration::from_secs(30)),
            Command::Failover => (plan.subscribers, plan.changes) = (100, 20),
        }
        let mut asked = Self { command, plan, threads: 1 };
        while let Some(word) = words.next() {
            if !asked.take(&word, &mut words)? {
                return Ok(None);
            }
        }
        Ok(Some(asked))
    }

    /// Takes one flag, or the number that stands alone; `false`: help is wanted.
    fn take(&mut self, word: &str, words: &mut impl Iterator<Item = String>) -> Result<bool, String> {
        let Self { command, plan, threads } = self;
        match word {
            "--help" | "-h" => return Ok(false),
            "--large" => plan.services = 100_000,
            "--postgres" => plan.postgres = true,
            "--looma" => plan.looma = words.next().ok_or("--looma wants a file")?.into(),
            "--connections" => {
                let list = words.next().unwrap_or_default();
                let all = list.split(',').map(|count| number(word, Some(count.to_owned())));
                plan.connections = all.collect::<Result<_, _>>()?;
            }
            "--threads" => *threads = number(word, words.next())?,
            "--services" => plan.services = number(word, words.next())?,
            "--subscribers" => plan.subscribers = number(word, words.next())?,
            "--changes" => plan.changes = number(word, words.next())?,
            "--rounds" => plan.rounds = number(word, words.next())?,
            "--seconds" => plan.length = seconds(number(word, words.next())?),
            alone => match command {
                Command::TenMinutes => plan.length = seconds(number("SECONDS", Some(alone.to_owned()))?),
                Command::Watchers => plan.subscribers = number("COUNT", Some(alone.to_owned()))?,
                Command::Compare | Command::Failover => return Err(format!("there is no {alone:?}")),
            },
        }
        Ok(true)
    }
}

fn seconds(count: usize) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(u64::MAX))
}

fn number(what: &str, word: Option<String>) -> Result<usize, String> {
    let number = word.and_then(|word| word.parse().ok()).filter(|number| *number > 0);
    number.ok_or_else(|| format!("{what} wants a number"))
}

/// The binary of r-nacos, where there is one.
#[expect(clippy::disallowed_methods, reason = "the environment of the tests is read here")]
fn rnacos() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("RNACOS") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join("rnacos")).find(|file| file.is_file())
}
