//! What runs here under a key. It knows this replica alone; what others run is in the database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::queries::Claim;

/// The requests that run: the code of each one's body, by the hash of its key. Clones share them.
#[derive(Clone, Default)]
pub struct Running(Arc<Mutex<HashMap<String, String>>>);

/// One of them, until it is dropped.
pub struct Held {
    running: Running,
    key_hash: String,
}

impl Running {
    /// The code of the body of the request that runs under a key.
    pub(super) fn body_of(&self, key_hash: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key_hash).cloned()
    }

    /// Counts a request among them.
    pub(super) fn hold(&self, claim: &Claim) -> Held {
        let Claim { key_hash, body_hash, at: _ } = claim;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key_hash.clone(), body_hash.clone());
        Held { running: self.clone(), key_hash: key_hash.clone() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key_hash);
    }
}
