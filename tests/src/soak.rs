//! A server that is kept busy: many plugins, calls from several sides at once, one of the plugins swapped every while by a file
//! saved in the folder, and some of the plugins hostile. What is looked for is a good call without an answer, an answer of a version
//! that was replaced before the call began, and memory that grows.
//!
//! The program `soak` does it for as long as one likes; a test does it for a while. The clock is the real one.

mod calls;
mod guests;
mod host;
mod memory;
mod reloads;

use std::{
    fmt::{self, Display},
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep};

use host::Host;
use memory::Memory;

/// What is to be done.
pub struct Plan {
    /// For how long.
    pub length: Duration,
    /// How many plugins there are; one in eight is hostile.
    pub plugins: usize,
    /// Versions that each of them has had before it begins: as long as fewer than are kept have been there, memory grows.
    pub before: u32,
    /// How often one of them is swapped.
    pub reload_every: Duration,
    /// How many of a hundred calls are hostile.
    pub hostile_percent: usize,
    /// How many calls are made at once.
    pub callers: u64,
    /// The binary whose processes compile components.
    pub compiler: PathBuf,
}

impl Plan {
    /// Fifty plugins, one of which is swapped every two seconds, and five of a hundred calls hostile.
    pub fn of(length: Duration, compiler: PathBuf) -> Self {
        let reload_every = Duration::from_secs(2);
        Self { length, plugins: 50, before: 4, reload_every, hostile_percent: 5, callers: 8, compiler }
    }
}

/// What came of it.
pub struct Report {
    length: Duration,
    plugins: usize,
    seen: calls::Seen,
    reloads: reloads::Done,
    memory: Memory,
}

/// Does it. `say` is told every minute how it goes.
pub async fn run(plan: &Plan, say: impl Fn(&str)) -> Report {
    let host = Host::start(plan).await;
    for version in 1..=plan.before {
        reloads::renew_all(&host, version).await;
    }
    let (began, mut memory) = (Instant::now(), Memory::of(plan.length));
    let mut under_way = JoinSet::new();
    for seed in 0..plan.callers {
        under_way.spawn(calls::call_on(host.clone(), seed, plan.hostile_percent));
    }
    under_way.spawn(reloads::go_on(host.clone(), plan.reload_every, plan.before));
    let mut minutes = 0;
    while began.elapsed() < plan.length {
        sleep(memory::EVERY.min(plan.length.saturating_sub(began.elapsed()))).await;
        memory.look(began.elapsed());
        if began.elapsed().as_secs() / 60 > minutes {
            minutes += 1;
            let so_far = Report::of(plan, began.elapsed(), &host, memory.clone());
            say(&format!("minute {minutes}: {so_far}"));
        }
    }
    host.end();
    while let Some(ended) = under_way.join_next().await {
        ended.expect("no caller fails");
    }
    let report = Report::of(plan, began.elapsed(), &host, memory);
    host.stop().await;
    report
}

impl Report {
    fn of(plan: &Plan, length: Duration, host: &Host, memory: Memory) -> Self {
        Self { length, plugins: plan.plugins, seen: host.seen(), reloads: host.reloads(), memory }
    }

    /// Everything that must not be, in words.
    pub fn faults(&self) -> Vec<String> {
        let Self { seen, reloads, memory, .. } = self;
        let mut faults = seen.faults.clone();
        faults.extend(reloads.faults.clone());
        faults.extend(memory.fault());
        faults
    }

    /// Good calls that were answered, hostile calls, and versions that came into service.
    pub fn done(&self) -> (u64, u64, u64) {
        (self.seen.good, self.seen.hostile, self.reloads.swaps)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { length, plugins, seen, reloads, memory } = self;
        let calls::Seen { good, hostile, lost, wrong, unanswered, rests, faults: _ } = seen;
        let reloads::Done { swaps, refused, slowest, faults: _ } = reloads;
        let (seconds, slowest) = (length.as_secs(), slowest.as_millis());
        write!(
            f,
            "{seconds} s, {plugins} plugins: {} calls ({hostile} hostile), {lost} lost, {wrong} of a wrong version; \
             {swaps} swaps (slowest {slowest} ms), {refused} bad files refused; of the hostile plugins {unanswered} honest \
             calls unanswered, {rests} rests; {memory}",
            good + lost + hostile
        )
    }
}
