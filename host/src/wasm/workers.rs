//! Threads that pure calls run on, apart from those that serve requests: a guest that spins holds up nobody else.
//!
//! There are as many as needed, up to a limit: a call never waits for another's thread while one more can be had. Whose calls they are
//! says their lane, which has a part of the threads: what waits in it goes on where the call before it ended, without anybody being
//! woken, and behind what waits in other lanes. A call that goes on for long makes way for the others, so that whoever spins has only
//! what nobody else wants of the processors.

use std::{
    cell::{Cell, RefCell},
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
    /// The pool that this thread works for.
    static POOL: RefCell<Option<Arc<Pool>>> = const { RefCell::new(None) };
}

/// Lets others go first from now on; for a job that runs for long on one of the threads. The thread ends with the job: it may not take
/// its place back.
pub fn make_way() {
    if !MADE_WAY.replace(true) {
        POOL.with_borrow(|pool| pool.iter().for_each(Pool::stand_in));
        // Being polite is a wish, not a need.
        let _ = rustix::process::nice(STAND_BACK);
    }
}

/// Something to do for somebody who may go away meanwhile.
trait Job: Send {
    fn is_wanted(&self) -> bool;
    fn run(self: Box<Self>);
}

struct Asked<F, R>(F, oneshot::Sender<R>);

impl<F: FnOnce() -> R + Send, R: Send> Job for Asked<F, R> {
    fn is_wanted(&self) -> bool {
        !self.1.is_closed()
    }

    fn run(self: Box<Self>) {
        let Self(job, answer) = *self;
        if !answer.is_closed() {
            // The caller may go meanwhile; then nobody wants the answer.
            let _ = answer.send(job());
        }
    }
}

/// What one has of the threads: so many at once, and a queue of its own for what is more.
pub struct Lane {
    most: usize,
    queued: usize,
    state: Mutex<InLane>,
}

#[derive(Default)]
struct InLane {
    /// Jobs that run or wait for a thread alone.
    under_way: usize,
    waiting: VecDeque<Box<dyn Job>>,
}

impl Lane {
    /// A lane of `most` threads, behind a queue of `queued` jobs.
    pub fn new(most: usize, queued: usize) -> Self {
        Self { most: most.max(1), queued, state: Mutex::default() }
    }

    /// Jobs that wait for the lane's other jobs.
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    fn state(&self) -> MutexGuard<'_, InLane> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the job back when it may have a thread, and keeps it when it must wait for others.
    fn admit(&self, job: Box<dyn Job>) -> Result<Option<Box<dyn Job>>, Fault> {
        let mut lane = self.state();
        if lane.under_way < self.most {
            lane.under_way += 1;
            return Ok(Some(job));
        }
        if lane.waiting.len() >= self.queued {
            lane.waiting.retain(|job| job.is_wanted());
        }
        if lane.waiting.len() >= self.queued {
            return Err(Fault::Busy);
        }
        lane.waiting.push_back(job);
        Ok(None)
    }

    /// One of its jobs is over: gives the next.
    fn over(&self) -> Option<Box<dyn Job>> {
        let mut lane = self.state();
        let next = lane.waiting.pop_front();
        lane.under_way -= usize::from(next.is_none());
        next
    }
}

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
    jobs: VecDeque<(Box<dyn Job>, Arc<Lane>)>,
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
    pub async fn run<R: Send + 'static>(
        &self,
        lane: &Arc<Lane>,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Fault> {
        let (answer, answered) = oneshot::channel();
        self.0.0.submit(lane, Box::new(Asked(job, answer)))?;
        answered.await.map_err(|_| Fault::Trap("the host's own code failed during the call".to_owned()))
    }

    /// Threads that are there, and jobs that wait for one.
    pub fn load(&self) -> (usize, usize) {
        let state = self.0.0.state();
        (state.threads, state.jobs.len())
    }
}

impl State {
    /// A job of this lane has ended: the lane's next stands behind what waits already.
    fn over(&mut self, lane: &Arc<Lane>) {
        let next = lane.over();
        self.jobs.extend(next.map(|job| (job, Arc::clone(lane))));
    }

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

    fn submit(self: &Arc<Self>, lane: &Arc<Lane>, job: Box<dyn Job>) -> Result<(), Fault> {
        let mut state = self.state();
        if state.jobs.len() >= self.queued {
            return Err(Fault::Busy);
        }
        let Some(job) = lane.admit(job)? else { return Ok(()) };
        state.jobs.push_back((job, Arc::clone(lane)));
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

    fn work(self: &Arc<Self>) {
        POOL.set(Some(Arc::clone(self)));
        self.state().coming -= 1;
        let mut over = None;
        while let Some((job, lane)) = self.next(over.take()) {
            // A panic of one call is that call's failure; its answer is dropped, which its caller sees.
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| job.run()));
            match MADE_WAY.get() {
                true if self.leave(&lane) => return,
                true => {}
                false => over = Some(lane),
            }
        }
    }

    /// Sees to it that another thread comes to what would have come to this one, as long as this one may still start any at its own
    /// priority: threads inherit it.
    fn stand_in(self: &Arc<Self>) {
        let mut state = self.state();
        if state.threads >= self.threads.most || state.idle + state.coming > state.jobs.len() {
            return;
        }
        state.expect_one();
        drop(state);
        if let Err(error) = self.spawn() {
            tracing::warn!(%error, "could not start a thread for plugin calls in the place of one that makes way");
        }
    }

    /// Lets a thread go that made way, unless a job waits that nobody else would come to. Tells whether it can go.
    fn leave(&self, lane: &Arc<Lane>) -> bool {
        let mut state = self.state();
        state.over(lane);
        let can = state.jobs.len() <= state.idle + state.coming;
        state.threads -= usize::from(can);
        drop(state);
        self.wake.notify_one();
        can
    }

    /// The next job, where that of lane `over` has ended.
    fn next(&self, over: Option<Arc<Lane>>) -> Option<(Box<dyn Job>, Arc<Lane>)> {
        let mut state = self.state();
        if let Some(lane) = over {
            state.over(&lane);
        }
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

    fn lane() -> Arc<Lane> {
        Arc::new(Lane::new(16, 4))
    }

    /// A job that runs until the sender is dropped.
    fn held() -> (std::sync::mpsc::Sender<()>, impl FnOnce() -> bool + Send + 'static) {
        let (release, held) = std::sync::mpsc::channel::<()>();
        (release, move || held.recv().is_err())
    }

    #[tokio::test]
    async fn a_lane_has_its_part_and_its_queue() {
        let (workers, own, other) = (threads(2, 2), Arc::new(Lane::new(1, 2)), lane());
        let (release, hold) = held();
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |n: u32| {
            let order = Arc::clone(&order);
            move || order.lock().unwrap().push(n)
        };
        let slow = workers.run(&own, hold);
        let others = async {
            let mut queued =
                Box::pin(futures_util::future::join(workers.run(&own, note(1)), workers.run(&own, note(2))));
            assert!(futures_util::poll!(&mut queued).is_pending());
            assert_eq!(own.waiting(), 2);
            assert_eq!(workers.run(&own, || ()).await, Err(Fault::Busy), "its queue is full");
            assert_eq!(workers.run(&other, || 7).await, Ok(7), "the other thread is for other lanes");
            drop(release);
            assert_eq!(queued.await, (Ok(()), Ok(())));
        };
        let (slow, ()) = tokio::join!(biased; slow, others);
        assert_eq!((slow, order.lock().unwrap().as_slice()), (Ok(true), &[1, 2][..]));
    }

    #[tokio::test]
    async fn those_who_went_away_take_no_place_in_a_lane() {
        let (workers, own) = (threads(1, 1), Arc::new(Lane::new(1, 2)));
        let (release, hold) = held();
        let slow = workers.run(&own, hold);
        let others = async {
            for _ in 0..5 {
                let mut gone = Box::pin(futures_util::future::join(workers.run(&own, || ()), workers.run(&own, || ())));
                assert!(futures_util::poll!(&mut gone).is_pending());
            }
            drop(release);
            assert_eq!(workers.run(&own, || 7).await, Ok(7));
        };
        let (slow, ()) = tokio::join!(biased; slow, others);
        assert_eq!(slow, Ok(true));
    }

    #[tokio::test]
    async fn what_waited_behind_a_job_that_made_way_stands_nobody_back() {
        let (workers, own) = (threads(1, 2), Arc::new(Lane::new(1, 4)));
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let normal = priority();
        let (release, hold) = held();
        let slow = workers.run(&own, move || (make_way(), hold()).1);
        let after = async {
            let mut next = Box::pin(workers.run(&own, priority));
            assert!(futures_util::poll!(&mut next).is_pending());
            drop(release);
            next.await
        };
        assert_eq!(tokio::join!(biased; slow, after), (Ok(true), Ok(normal)));
    }

    #[tokio::test]
    async fn a_panicking_job_fails_alone() {
        let workers = threads(1, 1);
        let failed = workers.run(&lane(), || -> u32 { panic!("on purpose") }).await;
        assert!(matches!(failed, Err(Fault::Trap(_))));
        assert_eq!(workers.run(&lane(), || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_job_does_not_wait_for_another_while_a_thread_can_be_had() {
        let workers = threads(1, 2);
        let (release, hold) = held();
        let (first, second) = (lane(), lane());
        let slow = workers.run(&first, hold);
        let quick = async {
            assert_eq!(workers.run(&second, || 7).await, Ok(7));
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
        let stood_back = workers.run(&lane(), move || (make_way(), make_way(), priority()).2).await.unwrap();
        assert_eq!(stood_back, (normal + STAND_BACK).min(19));
        for _ in 0..100 {
            assert_eq!(workers.run(&lane(), priority).await, Ok(normal), "its thread is used no more");
        }
        assert!(workers.load().0 <= 2);
    }

    #[tokio::test]
    async fn a_full_queue_is_an_answer_and_jobs_nobody_waits_for_do_not_run() {
        let (workers, own) = (threads(1, 1), lane());
        let (release, hold) = held();
        let slow = workers.run(&own, hold);
        let ran = Arc::new(Mutex::new(0));
        let others = async {
            {
                let count = || {
                    let ran = Arc::clone(&ran);
                    workers.run(&own, move || *ran.lock().unwrap() += 1)
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
        while workers.run(&lane(), || ()).await == Err(Fault::Busy) {
            tokio::task::yield_now().await;
        }
        assert_eq!(*ran.lock().unwrap(), 0);
    }
}
