//! Times and rates, and what a process takes.

use std::{fmt, path::Path, time::Duration};

/// How long things took, in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<u32>);

impl Times {
    pub fn add(&mut self, took: Duration) {
        self.0.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    pub fn merge(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that a share of them, 0 to 1, did not exceed.
    pub fn within(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        let found = sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0);
        Duration::from_micros(found.into())
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |share| Millis(self.within(share));
        write!(f, "p50 {}, p99 {}, most {} ({} times)", shown(0.5), shown(0.99), shown(1.0), self.count())
    }
}

/// A time to be read.
pub struct Millis(pub Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs_f64() * 1000.0 {
            millis if millis < 100.0 => write!(f, "{millis:.2} ms"),
            millis if millis < 10_000.0 => write!(f, "{millis:.0} ms"),
            millis => write!(f, "{:.2} s", millis / 1000.0),
        }
    }
}

/// The one in the middle.
pub fn median(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

/// What a process, or several, have taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// What is in memory, in KiB.
    pub rss_kib: u64,
    /// Time of processors.
    pub cpu: Duration,
}

/// How Linux counts time in /proc, whatever the machine: in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

impl Usage {
    /// Of one process; nothing when it is gone.
    pub fn of(pid: u32) -> Self {
        let folder = Path::new("/proc").join(pid.to_string());
        let status = std::fs::read_to_string(folder.join("status")).unwrap_or_default();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = rss.and_then(|rss| rss.split_whitespace().next()).and_then(|kib| kib.parse().ok());
        let stat = fields(&folder);
        // Fields 14 and 15 of proc(5): in user mode and in the kernel.
        let ticks = |at: usize| stat.get(at - 3).and_then(|ticks| ticks.parse::<u32>().ok()).unwrap_or(0);
        Self { rss_kib: kib.unwrap_or(0), cpu: TICK * (ticks(14) + ticks(15)) }
    }

    /// Of a process with all its children. Memory that they share is counted for each.
    pub fn of_family(pid: u32) -> Self {
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
        let children = all.filter(|folder| fields(folder).get(1).is_some_and(|parent| *parent == pid.to_string()));
        let ids = children.filter_map(|folder| folder.file_name()?.to_str()?.parse().ok());
        let sum = |a: Self, b: Self| Self { rss_kib: a.rss_kib + b.rss_kib, cpu: a.cpu + b.cpu };
        ids.map(Self::of).fold(Self::of(pid), sum)
    }

    /// What has been taken since, of one processor, 0 to 1 and more.
    pub fn share_since(&self, before: &Self, took: Duration) -> f64 {
        self.cpu.saturating_sub(before.cpu).as_secs_f64() / took.as_secs_f64()
    }

    pub fn mib(&self) -> f64 {
        self.rss_kib as f64 / 1024.0
    }
}

/// The fields of `stat` after the name, which is in brackets: the third of all is the first here.
fn fields(folder: &Path) -> Vec<String> {
    let stat = std::fs::read_to_string(folder.join("stat")).unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_times_is_within_it() {
        let mut times = Times::default();
        (1..=100).rev().for_each(|millis| times.add(Duration::from_millis(millis)));
        let within = |share| times.within(share).as_millis();
        assert_eq!((within(0.5), within(0.99), within(1.0), within(0.0)), (50, 99, 100, 1));
        assert_eq!(Times::default().within(0.99), Duration::ZERO);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn a_process_sees_what_it_takes() {
        let own = Usage::of(std::process::id());
        assert!(own.rss_kib > 1000, "{own:?}");
        assert_eq!(Usage::of(u32::MAX).rss_kib, 0);
    }
}
