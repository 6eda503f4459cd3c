//! What the process takes, as the system sees it.

use std::{
    fmt::{self, Display},
    time::Duration,
};

/// How often it is looked at.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// Until pools, arenas and caches have what they will have.
const WARM_UP: Duration = Duration::from_secs(120);
/// What is shorter says more of the allocator than of a leak.
const ENOUGH: Duration = Duration::from_secs(180);
/// Most growth that is flat, in KiB a minute. Thirty versions come and go in a minute, and tens of thousands of calls: keeping one
/// compiled component of each (64 KiB at least, with the pages it is mapped in), one page of each hostile instance's memory or 32 bytes
/// a call grows several times as fast; what the allocator and the database's cache wander by is below it.
const FLAT: f64 = 512.0;

/// What was seen.
#[derive(Clone, Default)]
pub(super) struct Memory {
    warm_up: Duration,
    /// Minutes since the beginning, and KiB.
    samples: Vec<(f64, f64)>,
    kib: u64,
    threads: u64,
    most_threads: u64,
}

impl Memory {
    /// Of a run of this length: a fifth of it at most is warm-up.
    pub(super) fn of(length: Duration) -> Self {
        Self { warm_up: WARM_UP.min(length / 5), ..Self::default() }
    }

    pub(super) fn look(&mut self, at: Duration) {
        let status = std::fs::read_to_string("/proc/self/status").expect("a process sees itself");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()).and_then(|text| text.parse::<u64>().ok());
            number.expect("the system says so")
        };
        (self.kib, self.threads) = (field("VmRSS:"), field("Threads:"));
        self.most_threads = self.most_threads.max(self.threads);
        if at >= self.warm_up {
            self.samples.push((at.as_secs_f64() / 60.0, self.kib as f64));
        }
    }

    /// What is wrong with it, when that can be told.
    pub(super) fn fault(&self) -> Option<String> {
        let slope = self.slope().filter(|slope| self.tells() && *slope > FLAT)?;
        Some(format!("memory grows by {slope:.0} KiB a minute, at most {FLAT:.0} is flat"))
    }

    fn tells(&self) -> bool {
        let ends = self.samples.first().zip(self.samples.last());
        ends.is_some_and(|(first, last)| last.0 - first.0 >= ENOUGH.as_secs_f64() / 60.0)
    }

    /// KiB a minute, by least squares.
    fn slope(&self) -> Option<f64> {
        slope(&self.samples)
    }
}

impl Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kib, threads, most_threads, .. } = self;
        write!(f, "{:.1} MiB, {threads} threads (at most {most_threads})", *kib as f64 / 1024.0)?;
        match self.slope() {
            Some(slope) if self.tells() => write!(f, ", memory slope {slope:+.0} KiB/min (flat is at most {FLAT:.0})"),
            _ => write!(f, ", too short for a memory slope"),
        }
    }
}

fn slope(samples: &[(f64, f64)]) -> Option<f64> {
    let count = samples.len() as f64;
    let (x, y) = samples.iter().fold((0.0, 0.0), |(x, y), sample| (x + sample.0 / count, y + sample.1 / count));
    let (up, across) = samples.iter().fold((0.0, 0.0), |(up, across), sample| {
        (up + (sample.0 - x) * (sample.1 - y), across + (sample.0 - x).powi(2))
    });
    (across > 0.0).then(|| up / across)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(minutes: u32, kib_a_minute: f64) -> Memory {
        let samples = (0..minutes * 60).map(|second| f64::from(second) / 60.0);
        // It wanders by a megabyte beside.
        let sample = |at: f64| (at, 100_000.0 + at * kib_a_minute + 1_024.0 * (at * 50.0).sin());
        Memory { samples: samples.map(sample).collect(), ..Memory::default() }
    }

    #[test]
    fn growth_is_told_from_wandering() {
        assert_eq!(slope(&[(0.0, 10.0), (1.0, 12.0), (2.0, 14.0)]), Some(2.0));
        assert_eq!(slope(&[(1.0, 10.0)]), None);
        assert!(run(8, 0.0).fault().is_none());
        assert!(run(8, FLAT + 100.0).fault().is_some());
        assert!(run(2, 100_000.0).fault().is_none(), "it is too short to tell");
    }
}
