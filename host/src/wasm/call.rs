//! Calls into components: why one failed, and how much of a processor it had.
//!
//! A store whose call failed is never used again: the engine leaves it unusable, and a guest's memory may be in any state.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{PoolConcurrencyLimitError, Trap};

use super::limits::Denied;

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
    /// The host has no room or no time for it now. That says nothing of the component.
    #[error("the host is busy")]
    Busy,
}

/// Says why a call failed. `denied` is what its limiter refused, `stderr` the tail of what it printed.
pub fn classify(error: &wasmtime::Error, denied: Option<Denied>, stderr: &str) -> Fault {
    if error.is::<PoolConcurrencyLimitError>() {
        return Fault::Busy;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => return Fault::Timeout,
        Some(Trap::StackOverflow) => return Fault::Limit("it recursed too deeply".to_owned()),
        _ => {}
    }
    match denied {
        Some(Denied::Own(what)) => return Fault::Limit(what.to_owned()),
        Some(Denied::Host) => return Fault::Busy,
        None => {}
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

/// How much processor time this thread has had.
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
