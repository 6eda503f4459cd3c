//! Group commit: many small writes that arrive together become one transaction.
//!
//! The writer takes what has queued and commits at once; while it commits, the next ones queue. There is no timer: the
//! sync of the disk is the collecting window. A full queue is answered at once, and nothing waits without bound.

use std::{future::Future, sync::Arc};

use tokio::sync::{mpsc, oneshot};

/// How many writes one transaction takes at most.
const BATCH: usize = 512;
/// How many writes may wait.
const QUEUE: usize = 16_384;

/// A queue of writes of one kind, each answered when it is durable.
pub struct GroupCommit<Op, Reply> {
    queue: mpsc::Sender<(Op, oneshot::Sender<Reply>)>,
}

impl<Op, Reply> Clone for GroupCommit<Op, Reply> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

/// The queue is full, or its writer is gone: try again.
#[derive(Debug, thiserror::Error)]
#[error("too many writes are waiting")]
pub struct Overloaded;

impl<Op: Send + 'static, Reply: Send + 'static> GroupCommit<Op, Reply> {
    /// A queue, and the writer that empties it; the caller spawns the writer as a task. `flush` gets up to 512 writes
    /// in the order of their arrival and answers each, in that order.
    pub fn new<F, Fut>(flush: F) -> (Self, impl Future<Output = ()> + Send)
    where
        F: Fn(Vec<Op>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<Reply>> + Send,
    {
        let (queue, mut waiting) = mpsc::channel::<(Op, oneshot::Sender<Reply>)>(QUEUE);
        let flush = Arc::new(flush);
        let writer = async move {
            let mut batch = Vec::with_capacity(BATCH);
            while waiting.recv_many(&mut batch, BATCH).await > 0 {
                let (ops, replies): (Vec<Op>, Vec<oneshot::Sender<Reply>>) = batch.drain(..).unzip();
                // A caller that has gone away does not take its write back.
                for (reply, answer) in replies.into_iter().zip(flush(ops).await) {
                    let _ = reply.send(answer);
                }
            }
        };
        (Self { queue }, writer)
    }

    /// Queues one write and waits until it is durable or refused.
    pub async fn submit(&self, op: Op) -> Result<Reply, Overloaded> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send((op, reply)).map_err(|_| Overloaded)?;
        answer.await.map_err(|_| Overloaded)
    }
}
