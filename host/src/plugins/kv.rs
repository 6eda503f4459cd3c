//! Where plugins' keys are kept: the database, or memory when a plugin is only tried.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{queries, types::PluginName};
use crate::{
    clock::Timestamp,
    db::{self, Db},
};

/// A place for keys. Clones share it.
#[derive(Clone)]
pub enum Kv {
    /// Forgotten with the process.
    Memory(Arc<Mutex<BTreeMap<(PluginName, String), Entry>>>),
    /// Lasting, and the same for all replicas.
    Database(Db),
}

/// What stands under a key.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// From when on it is gone.
    pub expires_at: Option<Timestamp>,
}

impl Default for Kv {
    fn default() -> Self {
        Self::Memory(Arc::default())
    }
}

impl Kv {
    pub(super) async fn find(&self, plugin: &PluginName, key: &str, now: Timestamp) -> db::Result<Option<Vec<u8>>> {
        match self {
            Self::Database(db) => queries::kv_find(&mut db.read().await?, plugin, key, now).await,
            Self::Memory(entries) => {
                let entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
                let entry = entries.get(&(plugin.clone(), key.to_owned()));
                Ok(entry.filter(|entry| entry.is_live(now)).map(|entry| entry.value.clone()))
            }
        }
    }

    /// Sets a key unless all of the plugin's would then have more than `quota` bytes; false if so.
    pub(super) async fn set(
        &self,
        plugin: &PluginName,
        key: &str,
        entry: Entry,
        quota: u64,
        now: Timestamp,
    ) -> db::Result<bool> {
        match self {
            Self::Database(db) => {
                let mut tx = db.write().await?;
                queries::kv_lock(&mut tx, plugin).await?;
                let others = queries::kv_bytes_beside(&mut tx, plugin, key, now).await?;
                if u64::try_from(others).unwrap_or(0) + size(key, &entry) > quota {
                    return Ok(false);
                }
                queries::kv_set(&mut tx, plugin, key, &entry).await?;
                tx.commit().await?;
                Ok(true)
            }
            Self::Memory(entries) => {
                let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
                entries.retain(|_, entry| entry.is_live(now));
                let others = entries.iter().filter(|((owner, other), _)| owner == plugin && other != key);
                let others: u64 = others.map(|((_, key), entry)| size(key, entry)).sum();
                let fits = others + size(key, &entry) <= quota;
                if fits {
                    entries.insert((plugin.clone(), key.to_owned()), entry);
                }
                Ok(fits)
            }
        }
    }

    pub(super) async fn delete(&self, plugin: &PluginName, key: &str) -> db::Result<()> {
        match self {
            Self::Database(db) => {
                let mut tx = db.write().await?;
                queries::kv_delete(&mut tx, plugin, key).await?;
                tx.commit().await
            }
            Self::Memory(entries) => {
                let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
                entries.remove(&(plugin.clone(), key.to_owned()));
                Ok(())
            }
        }
    }
}

impl Entry {
    fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }
}

/// What an entry takes besides its key and its value, so that a quota bounds how many there are.
const ENTRY_BYTES: usize = 64;

/// What counts against the quota, in bytes.
pub(super) fn size(key: &str, entry: &Entry) -> u64 {
    (ENTRY_BYTES + key.len() + entry.value.len()) as u64
}
