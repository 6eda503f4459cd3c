//! How calls went: the one place where they are counted, for a plugin and for each of its versions. Counting never waits and never
//! allocates; how many counters there are depends on the contract and not on what plugins do.

use std::{
    array,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::text_enum;

use super::types::CallError;

text_enum! {
    /// What a plugin can be asked.
    pub enum Function {
        /// Of every plugin: who it is.
        Describe = "describe",
        /// Of every plugin: what is wrong with a configuration.
        Check = "check",
        /// Of an evaluator.
        Plan = "plan",
        /// Of an evaluator.
        Evaluate = "evaluate",
        /// Of a notifier.
        Deliver = "deliver",
        /// Of a notifier.
        Preview = "preview",
        /// Of a discovery strategy.
        Discover = "discover",
        /// Of a matcher.
        Score = "score",
        /// Of a matcher.
        Explain = "explain",
        /// Of an embedder.
        About = "about",
        /// Of an embedder.
        Embed = "embed",
        /// Of a parser.
        MediaTypes = "media-types",
        /// Of a parser.
        Parse = "parse",
    }
}

text_enum! {
    /// How a call ended.
    pub enum Outcome {
        /// With an answer.
        Ok = "ok",
        /// The plugin does not take the configuration or the input.
        Refused = "refused",
        /// It may work later, says the plugin.
        Transient = "transient",
        /// It will not work, says the plugin.
        Permanent = "permanent",
        /// It crashed.
        Trap = "trap",
        /// It took too long.
        Timeout = "timeout",
        /// It wanted too much.
        Limit = "limit",
        /// Its answer is not acceptable.
        Contract = "contract",
        /// It did not come to run: the plugin or the host had too much to do.
        Busy = "busy",
        /// Whoever asked was gone before it ended.
        Abandoned = "abandoned",
    }
}

impl Outcome {
    /// How a call ended that ended so.
    pub fn of<R>(answer: &Result<R, CallError>) -> Self {
        answer.as_ref().map_or_else(Self::of_error, |_| Self::Ok)
    }

    /// How a call ended that failed so.
    pub fn of_error(error: &CallError) -> Self {
        match error {
            CallError::InvalidConfig(_) | CallError::InvalidInput(_) => Self::Refused,
            CallError::Transient { .. } => Self::Transient,
            CallError::Permanent(_) => Self::Permanent,
            CallError::Trap(_) => Self::Trap,
            CallError::Timeout => Self::Timeout,
            CallError::Limit(_) => Self::Limit,
            CallError::Contract(_) => Self::Contract,
            CallError::Unknown(_) | CallError::WrongKind { .. } | CallError::NotServing { .. } => Self::Busy,
            CallError::Busy => Self::Busy,
        }
    }

    /// Whether it speaks against the plugin.
    pub fn is_fault(self) -> bool {
        matches!(self, Self::Trap | Self::Timeout | Self::Limit | Self::Contract)
    }
}

/// Bounds of the histograms, in seconds; what is longer comes into one bucket more.
pub const BOUNDS: [f64; 12] = [0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Durations by length.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Histogram {
    fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.buckets[BOUNDS.partition_point(|bound| *bound < seconds)].fetch_add(1, Relaxed);
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// What is counted so far.
    pub fn durations(&self) -> Durations {
        Durations {
            buckets: array::from_fn(|i| self.buckets[i].load(Relaxed)),
            sum: Duration::from_nanos(self.nanos.load(Relaxed)),
        }
    }
}

/// What a histogram held at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// how many between two bounds; the last are above all
    pub buckets: [u64; BOUNDS.len() + 1],
    /// all together
    pub sum: Duration,
}

impl Durations {
    /// How many.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[derive(Debug, Default)]
struct Calls {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    ran: Histogram,
    waited: Histogram,
}

/// How the calls of one version went.
#[derive(Debug, Default)]
pub struct VersionStats {
    calls: [Calls; Function::ALL.len()],
    memory_peak: AtomicUsize,
    instances: AtomicUsize,
}

/// How calls of one function of one version went until a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// by outcome, in the order of `Outcome::ALL`
    pub outcomes: [u64; Outcome::ALL.len()],
    /// how long they ran
    pub ran: Durations,
    /// how long they waited for a turn and a thread
    pub waited: Durations,
}

impl Totals {
    /// All that ended.
    pub fn calls(&self) -> u64 {
        self.outcomes.iter().sum()
    }
}

impl VersionStats {
    /// How calls of `function` went so far.
    pub fn totals(&self, function: Function) -> Totals {
        let calls = &self.calls[function as usize];
        Totals {
            outcomes: array::from_fn(|i| calls.outcomes[i].load(Relaxed)),
            ran: calls.ran.durations(),
            waited: calls.waited.durations(),
        }
    }

    /// The most memory that one instance had, in bytes.
    pub fn memory_peak(&self) -> usize {
        self.memory_peak.load(Relaxed)
    }

    /// Instances that are there, running or kept.
    pub fn instances(&self) -> usize {
        self.instances.load(Relaxed)
    }

    pub(super) fn ran(&self, function: Function, took: Duration) {
        self.calls[function as usize].ran.add(took);
    }

    pub(super) fn waited(&self, function: Function, took: Duration) {
        self.calls[function as usize].waited.add(took);
    }

    pub(super) fn reached(&self, memory_bytes: usize) {
        self.memory_peak.fetch_max(memory_bytes, Relaxed);
    }
}

/// One call that is counted when it ends, or when whoever asked goes away.
pub(super) struct Counted {
    stats: Arc<VersionStats>,
    function: Function,
    outcome: Outcome,
}

impl Counted {
    pub(super) fn begin(stats: &Arc<VersionStats>, function: Function) -> Self {
        Self { stats: Arc::clone(stats), function, outcome: Outcome::Abandoned }
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.stats.calls[self.function as usize].outcomes[self.outcome as usize].fetch_add(1, Relaxed);
    }
}

/// One instance that is counted while it is there.
pub(super) struct Alive(Arc<VersionStats>);

impl Alive {
    pub(super) fn begin(stats: &Arc<VersionStats>) -> Self {
        stats.instances.fetch_add(1, Relaxed);
        Self(Arc::clone(stats))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.instances.fetch_sub(1, Relaxed);
    }
}

text_enum! {
    /// What a plugin can ask of the host.
    pub enum Interface {
        /// Lines in the log.
        Log = "log",
        /// What time it is.
        Clock = "clock",
        /// Requests.
        Http = "http",
        /// Mail.
        Mail = "mail",
        /// Keys.
        Kv = "kv",
        /// Names and connections.
        Net = "net",
    }
}

text_enum! {
    /// What happens to a plugin as a whole.
    pub enum Event {
        /// Another version came into service.
        Swapped = "swapped",
        /// A version failed right after it came in, and the one before serves again.
        RolledBack = "rolled_back",
        /// A file was not taken.
        Refused = "refused",
        /// It failed too often and rests.
        Quarantined = "quarantined",
    }
}

/// What happened to a plugin, whatever its version.
#[derive(Debug, Default)]
pub struct PluginStats {
    calls: AtomicU64,
    failures: AtomicU64,
    events: [AtomicU64; Event::ALL.len()],
    asked: [AtomicU64; Interface::ALL.len()],
    denied: [AtomicU64; Interface::ALL.len()],
    compiled_nanos: AtomicU64,
    loaded_nanos: AtomicU64,
}

impl PluginStats {
    /// Calls in service, and how many of them failed.
    pub fn calls(&self) -> (u64, u64) {
        (self.calls.load(Relaxed), self.failures.load(Relaxed))
    }

    /// How often this happened.
    pub fn events(&self, event: Event) -> u64 {
        self.events[event as usize].load(Relaxed)
    }

    /// How often this was asked of the host, and how often it was denied or dropped.
    pub fn host_calls(&self, interface: Interface) -> (u64, u64) {
        (self.asked[interface as usize].load(Relaxed), self.denied[interface as usize].load(Relaxed))
    }

    /// How long the last compilation took, and the last load from file to ready, compilation included.
    pub fn load_times(&self) -> (Duration, Duration) {
        let duration = |nanos: &AtomicU64| Duration::from_nanos(nanos.load(Relaxed));
        (duration(&self.compiled_nanos), duration(&self.loaded_nanos))
    }

    pub(super) fn called(&self, outcome: Outcome) {
        self.calls.fetch_add(1, Relaxed);
        let failed = !matches!(outcome, Outcome::Ok | Outcome::Refused | Outcome::Busy | Outcome::Abandoned);
        self.failures.fetch_add(u64::from(failed), Relaxed);
    }

    pub(super) fn happened(&self, event: Event) {
        self.events[event as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn asked(&self, interface: Interface) {
        self.asked[interface as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn denied(&self, interface: Interface) {
        self.denied[interface as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn compiled(&self, took: Duration) {
        self.compiled_nanos.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn loaded(&self, took: Duration) {
        self.loaded_nanos.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_buckets() {
        let histogram = Histogram::default();
        assert_eq!(histogram.durations().count(), 0);
        for micros in [5, 10, 60, 60, 60, 60, 60, 60, 60, 9_000_000] {
            histogram.add(Duration::from_micros(micros));
        }
        let durations = histogram.durations();
        assert_eq!((durations.count(), durations.buckets[0], durations.buckets[2]), (10, 2, 7));
        assert_eq!(durations.sum, Duration::from_micros(9_000_435));
    }

    #[test]
    fn a_call_nobody_waits_for_is_counted_as_such() {
        let stats = Arc::new(VersionStats::default());
        Counted::begin(&stats, Function::Plan).end(Outcome::Trap);
        drop(Counted::begin(&stats, Function::Plan));
        let totals = stats.totals(Function::Plan);
        assert_eq!(totals.calls(), 2);
        assert_eq!([Outcome::Trap, Outcome::Abandoned].map(|outcome| totals.outcomes[outcome as usize]), [1, 1]);
        assert_eq!(stats.totals(Function::Evaluate).calls(), 0);
    }
}
