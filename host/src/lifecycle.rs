//! Every task of the program: named, supervised, visible; and the end of them, in two stages.
//!
//! A periodic task that fails is logged and kept. One that panics, or a lasting one that ends unasked, ends the process:
//! a control plane that has lost a part of itself must not look alive. Nobody else spawns.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use serde::Serialize;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use utoipa::ToSchema;

use crate::clock::{Clock, Timestamp};

type Run = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> + Send + Sync>;

/// The tasks of one running server. Clones share them.
#[derive(Clone)]
pub struct Tasks(Arc<Shared>);

struct Shared {
    clock: Clock,
    stop: CancellationToken,
    tracker: TaskTracker,
    /// What others write through ends after them.
    drained: CancellationToken,
    last: TaskTracker,
    periodic: Mutex<BTreeMap<&'static str, Arc<Periodic>>>,
    lasting: Mutex<BTreeMap<&'static str, Lasting>>,
    broken: watch::Sender<Option<&'static str>>,
}

struct Periodic {
    every: Duration,
    /// What it does; gone once the program has stopped, since it holds everything that holds the tasks.
    run: Mutex<Option<Run>>,
    /// Held while it runs, so that a run by name and a run by time never overlap.
    turn: AsyncMutex<()>,
    runs: AtomicU64,
    last: Mutex<(Option<Timestamp>, Option<Duration>, Option<String>)>,
}

struct Lasting {
    began: Timestamp,
    error: Option<String>,
}

/// What is to be seen of a task.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TaskStatus {
    /// Its name.
    pub name: String,
    /// How often it runs; absent for one that lasts.
    pub period_seconds: Option<f64>,
    /// How often it has run.
    pub runs: u64,
    /// When it last began.
    pub last_run: Option<Timestamp>,
    /// How long that took.
    pub last_duration_ms: Option<f64>,
    /// What went wrong then, if anything did.
    pub last_error: Option<String>,
}

impl Tasks {
    /// No tasks yet.
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Shared {
            clock,
            stop: CancellationToken::new(),
            tracker: TaskTracker::new(),
            drained: CancellationToken::new(),
            last: TaskTracker::new(),
            periodic: Mutex::default(),
            lasting: Mutex::default(),
            broken: watch::Sender::new(None),
        }))
    }

    /// Runs `run` every `every`, one run at a time; the pause is counted from the end of a run.
    pub fn every<Fut>(&self, name: &'static str, every: Duration, run: impl Fn() -> Fut + Send + Sync + 'static)
    where
        Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let run: Run = Arc::new(move || Box::pin(run()));
        let (run, turn) = (Mutex::new(Some(run)), AsyncMutex::default());
        let (runs, last) = (AtomicU64::default(), Mutex::default());
        let task = Arc::new(Periodic { every, run, turn, runs, last });
        self.0.periodic.lock().unwrap_or_else(PoisonError::into_inner).insert(name, task.clone());
        let tasks = self.clone();
        self.supervise(name, async move {
            loop {
                tokio::select! {
                    () = tasks.0.stop.cancelled() => return,
                    () = tasks.0.clock.sleep(task.every) => {}
                }
                tasks.turn(name, &task).await;
            }
        });
    }

    /// Runs `lasting` until the program stops; it must end when `stopping` says so, and not before.
    pub fn spawn(&self, name: &'static str, lasting: impl Future<Output = ()> + Send + 'static) {
        self.begin(name);
        let tasks = self.clone();
        self.supervise(name, async move {
            tokio::select! {
                () = lasting => if !tasks.0.stop.is_cancelled() {
                    tracing::error!(task = name, "task {name} ended by itself");
                    tasks.0.broken.send_replace(Some(name));
                },
                () = tasks.0.stop.cancelled() => {}
            }
        });
    }

    /// As `spawn`, for what others write through: it goes on until every other task and every request has ended.
    pub fn spawn_last(&self, name: &'static str, lasting: impl Future<Output = ()> + Send + 'static) {
        self.begin(name);
        let tasks = self.clone();
        self.supervise_in(&self.0.last, name, async move {
            tokio::select! {
                () = lasting => if !tasks.0.stop.is_cancelled() {
                    tracing::error!(task = name, "task {name} ended by itself");
                    tasks.0.broken.send_replace(Some(name));
                },
                () = tasks.0.drained.cancelled() => {}
            }
        });
    }

    fn begin(&self, name: &'static str) {
        let lasting = Lasting { began: self.0.clock.now(), error: None };
        self.0.lasting.lock().unwrap_or_else(PoisonError::into_inner).insert(name, lasting);
    }

    /// Says of a lasting task what is wrong with it; `None` when nothing is any more.
    pub fn note(&self, name: &str, error: Option<String>) {
        if let Some(lasting) = self.0.lasting.lock().unwrap_or_else(PoisonError::into_inner).get_mut(name) {
            lasting.error = error;
        }
    }

    /// Runs `once` when every other task and every request has ended.
    pub fn at_the_end(&self, name: &'static str, once: impl Future<Output = ()> + Send + 'static) {
        let tasks = self.clone();
        self.supervise_in(&self.0.last, name, async move {
            tasks.0.drained.cancelled().await;
            once.await;
        });
    }

    /// Runs `once` beside everything else; shutdown waits for it.
    pub fn detach(&self, name: &'static str, once: impl Future<Output = ()> + Send + 'static) {
        self.supervise(name, once);
    }

    /// Runs a periodic task now and waits for it; `None` if there is none of that name. It runs to its end even if nobody
    /// waits any more.
    pub async fn run_now(&self, name: &str) -> Option<TaskStatus> {
        let found = {
            let periodic = self.0.periodic.lock().unwrap_or_else(PoisonError::into_inner);
            periodic.get_key_value(name).map(|(name, task)| (*name, task.clone()))
        };
        let (name, task) = found?;
        let (done, ended) = tokio::sync::oneshot::channel();
        let (tasks, run) = (self.clone(), task.clone());
        self.detach(name, async move {
            tasks.turn(name, &run).await;
            // Nobody takes it when whoever asked has left.
            let _ = done.send(());
        });
        // A panic ends the process, and this with it.
        let _ = ended.await;
        Some(status(name, &task))
    }

    async fn turn(&self, name: &'static str, task: &Periodic) {
        let _turn = task.turn.lock().await;
        let (at, began) = (self.0.clock.now(), self.0.clock.uptime());
        let run = task.run.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(run) = run else { return };
        let outcome = run().await;
        let took = self.0.clock.uptime().saturating_sub(began);
        if let Err(error) = &outcome {
            tracing::warn!(task = name, error = format!("{error:#}"), "task {name} failed");
        }
        task.runs.fetch_add(1, Ordering::Relaxed);
        let error = outcome.err().map(|error| format!("{error:#}"));
        *task.last.lock().unwrap_or_else(PoisonError::into_inner) = (Some(at), Some(took), error);
    }

    fn supervise(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.supervise_in(&self.0.tracker, name, task);
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    fn supervise_in(&self, tracker: &TaskTracker, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let tasks = self.clone();
        tracker.spawn(async move {
            if std::panic::AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(task = name, "task {name} panicked");
                tasks.0.broken.send_replace(Some(name));
            }
        });
    }

    /// Every task, by name.
    pub fn list(&self) -> Vec<TaskStatus> {
        let periodic = self.0.periodic.lock().unwrap_or_else(PoisonError::into_inner);
        let lasting = self.0.lasting.lock().unwrap_or_else(PoisonError::into_inner);
        let lasting = lasting.iter().map(|(name, Lasting { began, error })| TaskStatus {
            name: (*name).to_owned(),
            period_seconds: None,
            runs: 1,
            last_run: Some(*began),
            last_duration_ms: None,
            last_error: error.clone(),
        });
        let mut all: Vec<_> = periodic.iter().map(|(name, task)| status(name, task)).chain(lasting).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Ends when the program is asked to stop.
    pub async fn stopping(&self) {
        self.0.stop.cancelled().await;
    }

    /// Ends when a task has broken, with its name.
    pub async fn broken(&self) -> &'static str {
        let mut broken = self.0.broken.subscribe();
        loop {
            let seen = *broken.borrow_and_update();
            match seen {
                Some(name) => return name,
                // The sender lives in `self`.
                None => drop(broken.changed().await),
            }
        }
    }

    /// First stage: asks every task to finish what it does.
    pub fn stop(&self) {
        self.0.stop.cancel();
        self.0.tracker.close();
        self.0.last.close();
    }

    /// Waits for all of them; second stage is not to wait any longer.
    pub async fn finished(&self) {
        self.0.tracker.wait().await;
        self.0.drained.cancel();
        self.0.last.wait().await;
        for task in self.0.periodic.lock().unwrap_or_else(PoisonError::into_inner).values() {
            *task.run.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

fn status(name: &str, task: &Periodic) -> TaskStatus {
    let (last_run, took, last_error) = task.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
    TaskStatus {
        name: name.to_owned(),
        period_seconds: Some(task.every.as_secs_f64()),
        runs: task.runs.load(Ordering::Relaxed),
        last_run,
        last_duration_ms: took.map(|took| took.as_secs_f64() * 1000.0),
        last_error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever asked for a run may leave: it runs to its end.
    #[tokio::test]
    async fn a_run_outlives_whoever_asked_for_it() {
        let (clock, _manual) = Clock::manual(Timestamp::MIN);
        let tasks = Tasks::new(clock);
        let (begun, gate) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
        let (tell, wait) = (begun.clone(), gate.clone());
        tasks.every("slow", Duration::from_secs(1), move || {
            let (tell, wait) = (tell.clone(), wait.clone());
            async move {
                tell.notify_one();
                wait.notified().await;
                Ok(())
            }
        });
        tokio::select! {
            _ = tasks.run_now("slow") => panic!("it waits for the gate"),
            () = begun.notified() => {}
        }
        gate.notify_one();
        tasks.stop();
        tasks.finished().await;
        assert_eq!(tasks.list()[0].runs, 1);
    }

    /// What a task holds goes with the server, though the task holds the tasks.
    #[tokio::test]
    async fn nothing_is_held_after_the_end() {
        let (clock, _manual) = Clock::manual(Timestamp::MIN);
        let tasks = Tasks::new(clock);
        let held = Arc::new(());
        let (own, still) = (held.clone(), tasks.clone());
        tasks.every("holds", Duration::from_secs(1), move || {
            let _held = (&own, &still);
            async { Ok(()) }
        });
        tasks.stop();
        tasks.finished().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
