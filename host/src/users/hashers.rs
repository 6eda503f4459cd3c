//! Hashing passwords, a few at a time: each takes 19 MiB and a core for some 20 ms, and whoever guesses asks for many.
//!
//! Never let one begin without a turn: the turn lasts as long as the work, though whoever asked may have gone by then.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::password;
use crate::http::error::{ApiError, ApiResult};

/// How many run at a time.
const RUNNING: usize = 2;
/// How many more may wait for their turn.
const WAITING: usize = 32;

/// The turns. Clones share them.
#[derive(Clone)]
pub struct Hashers {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Hashers {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(RUNNING)), places: Arc::new(Semaphore::new(RUNNING + WAITING)) }
    }

    /// Whether `password` is the one that `hash` was made of. 503 when too many wait.
    pub async fn verify(&self, password: String, hash: String) -> ApiResult<bool> {
        self.run(move || password::verify(&password, &hash)).await
    }

    /// Hashes a password. 503 when too many wait.
    pub async fn hash(&self, password: String, salt: [u8; 16]) -> ApiResult<String> {
        self.run(move || password::hash(&password, &salt)).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> ApiResult<T> {
        let busy = |_| ApiError::Unavailable("too many passwords are being checked".to_owned(), 1);
        let place = self.places.clone().try_acquire_owned().map_err(busy)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(anyhow::Error::from)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turn, place));
            done
        });
        Ok(done.await.map_err(anyhow::Error::from)??)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt as _;

    use super::*;

    /// More than may wait are told to come back; when those that wait are gone, there is room.
    #[tokio::test]
    async fn only_so_many_wait() {
        let hashers = Hashers::new();
        let (go, ended) = mpsc::channel::<()>();
        let ended = Arc::new(std::sync::Mutex::new(ended));
        let hold = || {
            let ended = ended.clone();
            hashers.run(move || Ok(drop(ended.lock().unwrap().recv())))
        };
        let mut held: Vec<_> = (0..RUNNING + WAITING).map(|_| Box::pin(hold())).collect();
        for one in &mut held {
            assert!(one.now_or_never().is_none());
        }
        assert!(matches!(hold().await, Err(ApiError::Unavailable(_, 1))));
        drop(go);
        for one in held {
            one.await.unwrap();
        }
        hashers.run(|| Ok(())).await.unwrap();
    }

    /// Whoever goes away leaves the work behind, and with it the turn: the next one waits for it.
    #[tokio::test]
    async fn work_that_was_left_keeps_its_turn() {
        let hashers = Hashers::new();
        let (go, ended) = mpsc::channel::<()>();
        let ended = Arc::new(std::sync::Mutex::new(ended));
        for _ in 0..RUNNING {
            let ended = ended.clone();
            let left = hashers.run(move || Ok(drop(ended.lock().unwrap().recv())));
            assert!(left.now_or_never().is_none());
        }
        let mut next = Box::pin(hashers.run(|| Ok(())));
        assert!((&mut next).now_or_never().is_none());
        assert_eq!(hashers.turns.available_permits(), 0);
        drop(go);
        next.await.unwrap();
    }
}
