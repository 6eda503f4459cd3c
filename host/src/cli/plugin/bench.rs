//! `looma plugin bench`.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;

use super::{super::list::print, author::case_files};
use crate::{
    kit::{
        bench::{self, Measured},
        cases::{self, Case},
        workbench::{Workbench, component},
    },
    settings,
};

/// What `looma plugin bench` takes.
#[derive(clap::Args)]
pub struct Bench {
    /// The crate, which is built first, or a component; the current folder when absent.
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    what: PathBuf,
    /// Files or folders with cases; `tests` in the crate when absent.
    #[arg(long, value_name = "PATH")]
    cases: Vec<PathBuf>,
    /// The case whose configuration and input are taken; the first that expects an answer when absent.
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Seconds that each way of calling it is measured for.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    #[command(flatten)]
    kit: settings::Kit,
}

impl Bench {
    pub async fn run(self) -> anyhow::Result<()> {
        let Self { what, cases, case, seconds, kit } = self;
        let mut known = Vec::new();
        for file in case_files(&what, cases)? {
            known.extend(cases::read(&file)?);
        }
        let fits = |known: &&Case| match &case {
            Some(name) => known.name == *name,
            None => known.expect.is_some() && known.http.is_empty() && !known.deliver,
        };
        let case = known.iter().find(fits).context("there is no such case that could be measured")?;
        let wasm = component(&what).await?;
        let bench = Workbench::open(&kit.cache()?)?;
        let name = bench.load(&wasm).await?;
        let time = Duration::try_from_secs_f64(seconds).context("that is no time")?;
        print(&format!("{:<44} {:>8} {:>12} {:>12} {:>12}", name.as_str(), "calls", "min", "median", "p99"))?;
        for measured in bench::measure(&bench, &name, case, time).await? {
            print(&line(&measured))?;
        }
        print("a call is from its caller to the plugin's thread or instance and back; that of a case includes its JSON")
    }
}

/// Nanoseconds a series where a call has many, microseconds a call otherwise.
fn line(Measured { what, series, calls, min, median, p99 }: &Measured) -> String {
    let shown = |time: &Duration| match series {
        Some(series) if *series > 1 => format!("{} ns/series", time.as_nanos() / u128::from(*series)),
        _ => format!("{:.1} µs", time.as_secs_f64() * 1e6),
    };
    let what: String = what.chars().take(44).collect();
    format!("{what:<44} {calls:>8} {:>12} {:>12} {:>12}", shown(min), shown(median), shown(p99))
}
