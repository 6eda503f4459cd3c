//! Threads that plugins with input and output run on, apart from those that serve requests: a guest that spins between two waits holds up
//! nobody else. Of one plugin only so many instances compute at once; the rest of them wait, as they do for the network.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use anyhow::Context as _;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_util::sync::PollSemaphore;

use super::call::Fault;

/// How many threads there are. More than processors, since what spins is interrupted at each tick and the system shares fairly.
pub const THREADS: usize = 8;

/// The threads. They end when this is dropped, and with them what runs there.
pub struct Reactor {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Reactor {
    /// Starts the threads.
    pub fn start() -> anyhow::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(THREADS).thread_name("wasm-io").enable_all().build();
        let runtime = runtime.context("could not start the threads for plugins with input and output")?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Runs `work` there; it computes while it has one of the places of `computing`. When this is dropped, so is the work.
    pub async fn run<F>(&self, computing: &Arc<Semaphore>, work: F) -> Result<F::Output, Fault>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let work = Metered { work: Box::pin(work), computing: PollSemaphore::new(Arc::clone(computing)) };
        let mut task = Task(self.handle.spawn(work));
        (&mut task.0).await.map_err(|_| Fault::Trap("the host's own code failed during the call".to_owned()))
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It may be dropped where nothing must block.
            runtime.shutdown_background();
        }
    }
}

/// Work that is given up when nobody waits for it.
struct Task<R>(JoinHandle<R>);

impl<R> Drop for Task<R> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Metered<F> {
    work: Pin<Box<F>>,
    computing: PollSemaphore,
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // The semaphore is never closed; were it, the work would go on unmetered.
        let _place = ready!(self.computing.poll_acquire(cx));
        self.work.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn so_many_of_one_plugin_compute_at_once() {
        let reactor = Reactor::start().unwrap();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let computing = Arc::new(Semaphore::new(2));
        let spin = || {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            reactor.run(&computing, async move {
                for _ in 0..20 {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                }
            })
        };
        let done = futures_util::future::join_all((0..6).map(|_| spin())).await;
        assert!(done.iter().all(Result::is_ok));
        assert!(most.load(Ordering::SeqCst) <= 2);
    }

    #[tokio::test]
    async fn work_nobody_waits_for_is_dropped_and_a_panic_fails_alone() {
        struct Gone(Option<tokio::sync::oneshot::Sender<()>>);
        impl Drop for Gone {
            fn drop(&mut self) {
                let _ = self.0.take().map(|gone| gone.send(()));
            }
        }
        let reactor = Reactor::start().unwrap();
        let computing = Arc::new(Semaphore::new(1));
        let (gone, is_gone) = tokio::sync::oneshot::channel();
        let gone = Gone(Some(gone));
        let endless = reactor.run(&computing, async move {
            let _gone = gone;
            std::future::pending::<()>().await;
        });
        drop(tokio::time::timeout(std::time::Duration::from_millis(1), endless).await);
        is_gone.await.unwrap();
        let failed = reactor.run(&computing, async { panic!("on purpose") }).await;
        assert!(matches!(failed, Err::<(), _>(Fault::Trap(_))));
        assert_eq!(reactor.run(&computing, async { 7 }).await, Ok(7));
    }
}
