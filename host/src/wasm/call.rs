//! Calls into components: why one failed, and the threads that pure calls run on.
//!
//! A store whose call failed is never used again: the engine leaves it unusable, and a guest's memory may be in any state.

use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tokio::sync::oneshot;
use wasmtime::{PoolConcurrencyLimitError, Trap};

/// Why a call into a component ended without a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It ran past its deadline.
    #[error("it did not answer within its deadline")]
    Timeout,
    /// It asked for more than its limits.
    #[error("{0}")]
    Limit(String),
    /// It crashed.
    #[error("it crashed: {0}")]
    Trap(String),
    /// The host has no room for another instance now.
    #[error("all instances are busy")]
    Busy,
}

/// Says why a call failed. `denied` is what its limiter refused, `stderr` the tail of what it printed.
pub fn classify(error: &wasmtime::Error, denied: Option<&str>, stderr: &str) -> Fault {
    if error.is::<PoolConcurrencyLimitError>() {
        return Fault::Busy;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => return Fault::Timeout,
        Some(Trap::StackOverflow) => return Fault::Limit("it recursed too deeply".to_owned()),
        _ => {}
    }
    if let Some(denied) = denied {
        return Fault::Limit(denied.to_owned());
    }
    // The last cause is the plain reason; the rest is a backtrace of addresses.
    let cause = error.chain().last().map_or_else(|| error.to_string(), ToString::to_string);
    if cause.contains("fuel") {
        return Fault::Limit("it handed more bytes to the host than one call may".to_owned());
    }
    if cause.contains("handle limit") {
        return Fault::Limit("it held more handles than it may".to_owned());
    }
    let stderr = stderr.trim();
    if stderr.is_empty() { Fault::Trap(cause) } else { Fault::Trap(format!("{cause}; it printed: {stderr}")) }
}

type Job = Box<dyn FnOnce() + Send>;

/// Threads for calls that compute and never wait. They are apart from the threads that serve requests, so that a guest
/// that spins holds up nobody else.
#[derive(Clone)]
pub struct Workers {
    queue: SyncSender<Job>,
}

impl Workers {
    /// Starts `threads` threads behind a queue of `queued` calls. They end when the last handle is dropped.
    pub fn start(threads: usize, queued: usize) -> anyhow::Result<Self> {
        let (queue, jobs) = sync_channel::<Job>(queued);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads {
            let jobs = Arc::clone(&jobs);
            std::thread::Builder::new()
                .name(format!("wasm-{number}"))
                .stack_size(4 << 20)
                .spawn(move || work(&jobs))
                .context("could not start a thread for plugin calls")?;
        }
        Ok(Self { queue })
    }

    /// Runs `job` on one of the threads and gives what it returns.
    pub async fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Result<R, Fault> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            // The caller may have gone; then nobody wants the answer.
            let _ = answer.send(job());
        });
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Fault::Busy,
            TrySendError::Disconnected(_) => Fault::Trap("the threads for plugin calls have ended".to_owned()),
        })?;
        answered.await.map_err(|_| Fault::Trap("the host's own code failed during the call".to_owned()))
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A panic of one call is that call's failure; its answer is dropped, which its caller sees.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panicking_job_fails_alone() {
        let workers = Workers::start(1, 4).unwrap();
        let failed = workers.run(|| -> u32 { panic!("on purpose") }).await;
        assert!(matches!(failed, Err(Fault::Trap(_))));
        assert_eq!(workers.run(|| 7).await, Ok(7));
    }
}
