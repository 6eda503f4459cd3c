//! `looma:host/kv`: a small store of a plugin's own. Its name is the host's, so no plugin reaches another's keys.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::plugins::bindings::looma::host::kv::{Host, KvError};
use crate::plugins::types::PluginName;

use super::Ctx;

const KEY_BYTES: usize = 512;
const VALUE_BYTES: usize = 1 << 20;

/// Where plugins' keys are kept.
#[derive(Clone)]
pub enum Kv {
    /// In memory, for trying a plugin; forgotten with the process.
    Memory(Arc<Mutex<Memory>>),
}

impl Default for Kv {
    fn default() -> Self {
        Self::Memory(Arc::default())
    }
}

/// Keys of all plugins, in memory.
#[derive(Default)]
pub struct Memory(BTreeMap<(PluginName, String), Entry>);

struct Entry {
    value: Vec<u8>,
    expires_at_ms: Option<i64>,
}

impl Memory {
    fn live(&mut self, now: i64) {
        self.0.retain(|_, entry| entry.expires_at_ms.is_none_or(|at| at > now));
    }

    fn bytes(&self, plugin: &PluginName) -> u64 {
        let own = self.0.iter().filter(|((owner, _), _)| owner == plugin);
        own.map(|((_, key), entry)| (key.len() + entry.value.len()) as u64).sum()
    }

    fn set(&mut self, plugin: PluginName, key: String, entry: Entry, quota: u64) -> Result<(), KvError> {
        let name = (plugin, key);
        let replaced = self.0.get(&name).map_or(0, |old| (name.1.len() + old.value.len()) as u64);
        let size = (name.1.len() + entry.value.len()) as u64;
        if self.bytes(&name.0) - replaced + size > quota {
            return Err(KvError::Quota(format!("plugin {} is granted {quota} bytes", name.0)));
        }
        self.0.insert(name, entry);
        Ok(())
    }
}

impl Ctx {
    fn check_key(&mut self, key: &str) -> Result<(), KvError> {
        if key.is_empty() || key.len() > KEY_BYTES {
            return Err(KvError::TooLarge(key.len() as u64));
        }
        if self.reach.grants.kv_bytes == 0 {
            return Err(KvError::Quota(format!("plugin {} is granted no key-value store", self.reach.plugin)));
        }
        if !self.take_request() {
            return Err(KvError::Quota("this call asked for too many keys".to_owned()));
        }
        Ok(())
    }
}

impl Host for Ctx {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, KvError>> {
        if let Err(refused) = self.check_key(&key) {
            return Ok(Err(refused));
        }
        let Kv::Memory(memory) = &self.reach.services.kv;
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.live((self.reach.services.now)());
        Ok(Ok(memory.0.get(&(self.reach.plugin.clone(), key)).map(|entry| entry.value.clone())))
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> wasmtime::Result<Result<(), KvError>> {
        if let Err(refused) = self.check_key(&key) {
            return Ok(Err(refused));
        }
        if value.len() > VALUE_BYTES {
            return Ok(Err(KvError::TooLarge(value.len() as u64)));
        }
        let now = (self.reach.services.now)();
        let expires_at_ms = ttl_ms.map(|ttl| now.saturating_add(i64::try_from(ttl).unwrap_or(i64::MAX)));
        let Kv::Memory(memory) = &self.reach.services.kv;
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.live(now);
        Ok(memory.set(self.reach.plugin.clone(), key, Entry { value, expires_at_ms }, self.reach.grants.kv_bytes))
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), KvError>> {
        if let Err(refused) = self.check_key(&key) {
            return Ok(Err(refused));
        }
        let Kv::Memory(memory) = &self.reach.services.kv;
        memory.lock().unwrap_or_else(PoisonError::into_inner).0.remove(&(self.reach.plugin.clone(), key));
        Ok(Ok(()))
    }
}
