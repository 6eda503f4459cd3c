//! What one plugin may take at once of what all share: threads, instances, places in the queue, lines of the log, lookups of names and
//! connections. It belongs to the name: neither another version nor other grants give a second share.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::types::{CallError, Kind};
use crate::wasm::{pulse::Until, reactor, workers::Lane};

/// Calls that may wait for one plugin.
const WAITING: usize = 256;
/// Lines that one plugin may log in a minute.
const LOG_LINES: u32 = 2_000;
const MINUTE: Duration = Duration::from_secs(60);
/// Names that are looked up for one plugin at once.
const LOOKUPS: usize = 8;
/// Connections that are tried for one plugin at once.
const SOCKETS: usize = 512;

/// The share of one plugin.
pub(super) struct Share {
    /// Calls that only compute.
    pub(super) pure: Arc<Lane>,
    notifier: Arc<Semaphore>,
    strategy: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Instances with input and output that compute at once; the others wait, as they do for the network.
    pub(super) computing: Arc<Semaphore>,
    pub(super) lookups: Arc<Semaphore>,
    pub(super) sockets: Arc<Semaphore>,
    log: Mutex<Log>,
    pure_most: usize,
}

#[derive(Default)]
struct Log {
    /// By `Clock::uptime`.
    minute: Duration,
    lines: u32,
}

impl Share {
    /// A share where there are so many steady threads for pure plugins: half of them, at least one.
    pub(super) fn new(threads: usize) -> Self {
        let pure_most = (threads / 2).max(1);
        let places = |most| Arc::new(Semaphore::new(most));
        Self {
            pure: Arc::new(Lane::new(pure_most, WAITING)),
            notifier: places(32),
            strategy: places(8),
            waiting: AtomicUsize::new(0),
            computing: places(reactor::THREADS / 4),
            lookups: places(LOOKUPS),
            sockets: places(SOCKETS),
            log: Mutex::default(),
            pure_most,
        }
    }

    /// Instances of a pure plugin that are kept for its next calls.
    pub(super) fn kept(&self) -> usize {
        self.pure_most
    }

    /// Waits for the turn of a call with input and output until `until`, unless too many wait already.
    pub(super) async fn turn(&self, kind: Kind, until: &Until) -> Result<OwnedSemaphorePermit, CallError> {
        let turns = match kind {
            Kind::DiscoveryStrategy => &self.strategy,
            _ => &self.notifier,
        };
        if let Ok(turn) = Arc::clone(turns).try_acquire_owned() {
            return Ok(turn);
        }
        let _place = Place::take(&self.waiting).ok_or(CallError::Busy)?;
        tokio::select! {
            biased;
            turn = Arc::clone(turns).acquire_owned() => turn.map_err(|_| CallError::Busy),
            () = until.wait() => Err(CallError::Busy),
        }
    }

    /// Calls that wait for a turn.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed) + self.pure.waiting()
    }

    /// Takes a line of the log off this minute's share. The last that there is says so.
    pub(super) fn take_log_line(&self, now: Duration) -> LogLine {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(log.minute) >= MINUTE {
            *log = Log { minute: now, lines: 0 };
        }
        log.lines = log.lines.saturating_add(1);
        match log.lines.cmp(&LOG_LINES) {
            std::cmp::Ordering::Less => LogLine::Write,
            std::cmp::Ordering::Equal => LogLine::WriteTheLast,
            std::cmp::Ordering::Greater => LogLine::Drop,
        }
    }
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogLine {
    Write,
    WriteTheLast,
    Drop,
}

/// A place among those who wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        // The place is given back by `drop` when there was none left.
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_lines() {
        let share = Share::new(4);
        let lines =
            |from: u64| (0..LOG_LINES + 5).map(|_| share.take_log_line(Duration::from_secs(from))).collect::<Vec<_>>();
        let written = |lines: &[LogLine]| lines.iter().filter(|line| **line != LogLine::Drop).count();
        let first = lines(100);
        assert_eq!((written(&first), first[LOG_LINES as usize - 1]), (LOG_LINES as usize, LogLine::WriteTheLast));
        assert_eq!(written(&lines(159)), 0);
        assert_eq!(written(&lines(160)), LOG_LINES as usize);
    }

    #[test]
    fn no_plugin_has_all_threads() {
        for (threads, most) in [(1, 1), (2, 1), (3, 1), (4, 2), (16, 8)] {
            assert_eq!(Share::new(threads).kept(), most);
        }
    }
}
