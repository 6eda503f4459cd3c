//! Secrets: values that plugins name and never see.
//!
//! An administrator sets them. What is stored is sealed under a key that stands in a file of its own, so that a copy of the
//! database opens nothing; replicas share that file. A value is never in an answer, on the feed or in the audit: it goes
//! into requests that the host makes for a plugin, and it is masked out of what plugins say.
//!
//! Read on in `seal`, `memory` (what plugins' host functions ask), `types`, `queries`, `worker` (replicas), `routes`.

mod memory;
mod queries;
mod routes;
mod seal;
mod types;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    feed::{Change, Feed, Op},
    ids::Ids,
    settings::{Settings, files},
};
use seal::Seal;
use types::{SECRETS, Secret, Stored};

pub use memory::{Known, Secrets};
pub(crate) use queries::STATEMENTS;
pub use routes::routes;
pub use worker::{load, start};

/// Where secrets are kept. Clones share it.
#[derive(Clone)]
pub struct Safe(Arc<Shared>);

struct Shared {
    secrets: Secrets,
    seal: Seal,
    /// Values whose commit is under way, by name, with their version.
    pending: Mutex<BTreeMap<String, (i64, String)>>,
    /// Secrets that another replica changed, and that are not read yet.
    asked: Mutex<BTreeSet<String>>,
}

/// Opens the safe of a server: its key is made at the first start.
pub fn open(settings: &Settings, feed: &Feed, ids: &Ids) -> anyhow::Result<Safe> {
    let file = settings.secrets.key_file.clone().unwrap_or_else(|| settings.server.data.join("secrets-key"));
    let seal = Seal::new(files::private_key(&file, "the key of the secrets", || ids.random())?);
    let (secrets, pending, asked) = Default::default();
    let safe = Safe(Arc::new(Shared { secrets, seal, pending, asked }));
    let own = safe.clone();
    feed.on(SECRETS, move |change| own.apply(change));
    Ok(safe)
}

impl Safe {
    /// What plugins' host functions ask.
    pub fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    /// Applies a change. A value that another replica set is asked for, and read by `worker`.
    fn apply(&self, change: &Change) {
        let known = match (change.op, change.read::<Secret>()) {
            (Op::Delete, _) => None,
            (Op::Put, Some(secret)) => match self.pending(&change.key, secret.version) {
                Some(value) => Some(memory::Known::open(&value)),
                None => return self.ask(&change.key),
            },
            (Op::Put, None) => return,
        };
        self.0.secrets.put(&change.key, known.as_ref());
    }

    /// Opens a row.
    fn known(&self, stored: &Stored) -> memory::Known {
        let Stored { secret: Secret { name, version, .. }, sealed, key_id } = stored;
        let own = self.0.seal.id();
        let why = match self.0.seal.open(name.as_str(), *version, sealed) {
            Some(value) => return memory::Known::open(&value),
            None if key_id == own => "what is stored of it is damaged; set it again".to_owned(),
            None => format!(
                "it is sealed under the key {key_id}, and this server has the key {own}: give it the file of the server \
                 that set it (secrets.key_file), or delete it and set it again"
            ),
        };
        tracing::error!(secret.name = %name, "the secret {name} cannot be used: {why}");
        memory::Known::closed(&why)
    }

    /// Keeps a value until the feed says that it counts, or the guard is dropped.
    fn pend(&self, secret: &Secret, value: String) -> Pending<'_> {
        let mut pending = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.insert(secret.name.0.clone(), (secret.version, value));
        Pending { safe: self, name: secret.name.0.clone(), version: secret.version }
    }

    fn pending(&self, name: &str, version: i64) -> Option<String> {
        let mut pending = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = pending.get(name).is_some_and(|(pending, _)| *pending == version);
        if fits { pending.remove(name).map(|(_, value)| value) } else { None }
    }

    fn ask(&self, name: &str) {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }
}

/// A value that waits for its commit.
struct Pending<'a> {
    safe: &'a Safe,
    name: String,
    version: i64,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.safe.pending(&self.name, self.version);
    }
}
