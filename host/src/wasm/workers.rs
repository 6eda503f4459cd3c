//! Threads that pure calls run on, apart from those that serve requests: a guest that spins holds up nobody else.
//!
//! There are as many as needed, up to a limit: a call never waits for another's thread while one more can be had. Who may have how
//! many at once is decided before a call comes here. A call that goes on for long makes way for the others, so that whoever spins has
//! only what nobody else wants of the processors.

use std::{
    cell::Cell,
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use tokio::sync::oneshot;

use super::call::Fault;

/// How long a thread beyond the steady ones waits for work.
const IDLE: Duration = Duration::from_secs(10);
const STACK: usize = 4 << 20;
/// How far a thread stands back that makes way: it has about a third of what another would have.
const STAND_BACK: i32 = 5;

thread_local! {
    static MADE_WAY: Cell<bool> = const { Cell::new(false) };
}

/// Lets others go first from now on; for a job that runs for long on one of the threads. The thread ends with the job: it may not take
/// its place back.
pub fn make_way() {
    if !MADE_WAY.replace(true) {
        // Being polite is a wish, not a need.
        let _ = rustix::process::nice(STAND_BACK);
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// How many threads there are.
#[derive(Clone, Copy, Debug)]
pub struct Threads {
    /// they are always there
    pub steady: usize,
    /// there are never more
    pub most: usize,
}

/// The threads. Clones share them; they end when the last handle is dropped.
#[derive(Clone)]
pub struct Workers(Arc<Handle>);

struct Handle(Arc<Pool>);

struct Pool {
    threads: Threads,
    queued: usize,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// Threads that were started and did not yet look for work.
    coming: usize,
    closed: bool,
}

impl Workers {
    /// Starts the steady threads, behind a queue of `queued` calls.
    pub fn start(threads: Threads, queued: usize) -> anyhow::Result<Self> {
        let threads = Threads { steady: threads.steady.max(1), most: threads.most.max(threads.steady).max(1) };
        let pool = Arc::new(Pool { threads, queued, state: Mutex::default(), wake: Condvar::new() });
        let workers = Self(Arc::new(Handle(pool)));
        for _ in 0..threads.steady {
            let pool = &workers.0.0;
            pool.state().expect_one();
            pool.spawn().context("could not start a thread for plugin calls")?;
        }
        Ok(workers)
    }

    /// Runs `job` on one of the threads and gives what it returns. Once the caller is gone, a job that has not begun is dropped.
    pub async fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Result<R, Fault> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            if !answer.is_closed() {
                // The caller may go meanwhile; then nobody wants the answer.
                let _ = answer.send(job());
            }
        });
        self.0.0.submit(job)?;
        answered.await.map_err(|_| Fault::Trap("the host's own code failed during the call".to_owned()))
    }

    /// Threads that are there, and jobs that wait for one.
    pub fn load(&self) -> (usize, usize) {
        let state = self.0.0.state();
        (state.threads, state.jobs.len())
    }
}

impl State {
    /// Counts a thread that is about to be started.
    fn expect_one(&mut self) {
        self.threads += 1;
        self.coming += 1;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.wake.notify_all();
    }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(self: &Arc<Self>, job: Job) -> Result<(), Fault> {
        let mut state = self.state();
        if state.jobs.len() >= self.queued {
            return Err(Fault::Busy);
        }
        state.jobs.push_back(job);
        let more = state.jobs.len() > state.idle && state.threads < self.threads.most;
        if more {
            state.expect_one();
        }
        drop(state);
        self.wake.notify_one();
        if more && let Err(error) = self.spawn() {
            // Those that are there come to it.
            tracing::warn!(%error, "could not start one more thread for plugin calls");
        }
        Ok(())
    }

    /// Starts a thread that was counted already.
    fn spawn(self: &Arc<Self>) -> std::io::Result<()> {
        let pool = Arc::clone(self);
        let thread = std::thread::Builder::new().name("wasm-pure".to_owned()).stack_size(STACK);
        thread.spawn(move || pool.work()).map(drop).inspect_err(|_| {
            let mut state = self.state();
            state.threads -= 1;
            state.coming -= 1;
        })
    }

    fn work(&self) {
        self.state().coming -= 1;
        while let Some(job) = self.next() {
            // A panic of one call is that call's failure; its answer is dropped, which its caller sees.
            let _ = std::panic::catch_unwind(AssertUnwindSafe(job));
            if MADE_WAY.get() && self.can_spare_one() {
                return;
            }
        }
    }

    /// Lets a thread go that made way, unless a job waits that nobody else would come to. The next job that needs a thread starts it.
    fn can_spare_one(&self) -> bool {
        let mut state = self.state();
        let can = state.jobs.len() <= state.idle + state.coming;
        state.threads -= usize::from(can);
        can
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            let (woken, waited) = self.wake.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() && state.threads > self.threads.steady {
                state.threads -= 1;
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(steady: usize, most: usize) -> Workers {
        Workers::start(Threads { steady, most }, 4).unwrap()
    }

    #[tokio::test]
    async fn a_panicking_job_fails_alone() {
        let workers = threads(1, 1);
        let failed = workers.run(|| -> u32 { panic!("on purpose") }).await;
        assert!(matches!(failed, Err(Fault::Trap(_))));
        assert_eq!(workers.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_job_does_not_wait_for_another_while_a_thread_can_be_had() {
        let workers = threads(1, 2);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let slow = workers.run(move || held.recv().is_err());
        let quick = async {
            assert_eq!(workers.run(|| 7).await, Ok(7));
            drop(release);
        };
        let (slow, ()) = tokio::join!(biased; slow, quick);
        assert_eq!(slow, Ok(true));
    }

    #[tokio::test]
    async fn a_job_that_makes_way_stands_back_alone() {
        let workers = threads(1, 2);
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let normal = priority();
        let stood_back = workers.run(move || (make_way(), make_way(), priority()).2).await.unwrap();
        assert_eq!(stood_back, (normal + STAND_BACK).min(19));
        for _ in 0..100 {
            assert_eq!(workers.run(priority).await, Ok(normal), "its thread is used no more");
        }
        assert!(workers.load().0 <= 2);
    }

    #[tokio::test]
    async fn a_full_queue_is_an_answer_and_jobs_nobody_waits_for_do_not_run() {
        let workers = threads(1, 1);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let slow = workers.run(move || held.recv().is_err());
        let ran = Arc::new(Mutex::new(0));
        let others = async {
            {
                let count = || {
                    let ran = Arc::clone(&ran);
                    workers.run(move || *ran.lock().unwrap() += 1)
                };
                let waiting = futures_util::future::join_all((0..5).map(|_| count()));
                let full = tokio::select! { biased; _ = waiting => None, answer = count() => Some(answer) };
                assert_eq!(full, Some(Err(Fault::Busy)));
            }
            drop(release);
        };
        let (slow, ()) = tokio::join!(biased; slow, others);
        assert_eq!(slow, Ok(true));
        // The queue is full until the thread has thrown them away.
        while workers.run(|| ()).await == Err(Fault::Busy) {
            tokio::task::yield_now().await;
        }
        assert_eq!(*ran.lock().unwrap(), 0);
    }
}
