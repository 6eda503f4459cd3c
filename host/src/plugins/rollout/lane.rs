//! Calls beside live ones: after the live answer was given, one at a time, on nobody else's share. When they cannot keep up,
//! calls are left out and counted.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::sync::mpsc;

use super::{
    active::Active,
    report::{Compared, Difference},
};
use crate::plugins::{
    slot::Release,
    types::CallError,
    version::{Meter, Version},
};

/// Calls that may wait to be run beside.
const WAITING: usize = 64;

type Job = BoxFuture<'static, ()>;
/// A place in the lane.
pub(super) type Room = mpsc::OwnedPermit<Job>;

/// Where calls beside wait.
pub(in crate::plugins) struct Lane {
    queue: mpsc::Sender<Job>,
    jobs: Mutex<Option<mpsc::Receiver<Job>>>,
}

impl Default for Lane {
    fn default() -> Self {
        let (queue, jobs) = mpsc::channel(WAITING);
        Self { queue, jobs: Mutex::new(Some(jobs)) }
    }
}

impl Lane {
    /// A place for one more call beside, where one is wanted. A call that finds no place is counted.
    pub(super) fn room(&self, active: &Active) -> Option<Room> {
        if !active.wants_beside() {
            return None;
        }
        let room = self.queue.clone().try_reserve_owned().ok();
        match &room {
            Some(_) => active.begin_beside(),
            None => active.skip(),
        }
        room
    }

    /// Runs calls beside, until the program stops.
    pub(super) async fn run(&self) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut jobs) = jobs else { return };
        while let Some(job) = jobs.recv().await {
            if AssertUnwindSafe(job).catch_unwind().await.is_err() {
                tracing::error!("a call beside a live one was cut short by a fault of the host");
            }
        }
    }
}

/// A live call that was answered.
pub(super) struct Answered<R> {
    pub(super) active: Arc<Active>,
    pub(super) by: Arc<Release>,
    pub(super) answer: R,
    pub(super) took: Duration,
}

/// Runs the same call on the version on its way, and compares. What differs is asked again of the one that serves, in an
/// instance apart: if that does not agree with itself, the difference says nothing.
pub(super) fn beside<R, C, F, D>(room: Room, answered: Answered<R>, call: C, differ: D)
where
    R: Send + Sync + 'static,
    C: Fn(Version) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, CallError>> + Send + 'static,
    D: Fn(&R, &R) -> Option<Difference> + Send + Sync + 'static,
{
    room.send(Box::pin(async move {
        let Answered { active, by, answer, took } = answered;
        let Some(candidate) = active.beside() else { return };
        let meter = Arc::<Meter>::default();
        let compared = match call(candidate.metered(&meter)).await {
            Err(CallError::Busy) => return active.leave_out(),
            Err(error) => Compared::Failed(error),
            Ok(other) => match differ(&answer, &other) {
                None => Compared::Same,
                Some(difference) => {
                    let again = call(by.version.apart()).await;
                    let wavers = |again: Result<R, CallError>, first: &R| {
                        again.is_ok_and(|again| differ(first, &again).is_some())
                    };
                    if wavers(again, &answer) {
                        Compared::ServingWavers
                    } else if wavers(call(candidate.clone()).await, &other) {
                        Compared::CandidateWavers(difference)
                    } else {
                        Compared::Differs(difference)
                    }
                }
            },
        };
        active.compared(compared, took, meter.took());
    }));
}
