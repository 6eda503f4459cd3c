//! `looma:host/kv`: a small store of a plugin's own. The plugin's name is the host's, so no plugin reaches another's keys.

use std::time::Duration;

use super::Ctx;
use crate::plugins::{
    bindings::looma::host::kv::{Host, KvError},
    kv::Entry,
};

const KEY_BYTES: usize = 512;
const VALUE_BYTES: usize = 1 << 20;

impl Ctx {
    fn check_key(&mut self, key: &str) -> Result<(), KvError> {
        if key.is_empty() || key.len() > KEY_BYTES {
            return Err(KvError::TooLarge(key.len() as u64));
        }
        if key.contains('\0') {
            return Err(KvError::Unavailable("a key has no NUL in it".to_owned()));
        }
        if self.reach.grants.kv_bytes == 0 {
            return Err(KvError::Quota(format!("plugin {} is granted no key-value store", self.reach.plugin)));
        }
        if !self.take_request() {
            return Err(KvError::Quota("this call asked for too many keys".to_owned()));
        }
        Ok(())
    }

    /// A fault of the database is logged here and told to the plugin without its cause.
    fn stored<T>(&self, done: crate::db::Result<T>) -> Result<T, KvError> {
        done.map_err(|error| {
            tracing::warn!(plugin.name = %self.reach.plugin, %error, "the key-value store of plugin {} failed", self.reach.plugin);
            KvError::Unavailable("the store is not available".to_owned())
        })
    }
}

impl Host for Ctx {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, KvError>> {
        if let Err(refused) = self.check_key(&key) {
            return Ok(Err(refused));
        }
        let reach = self.reach.clone();
        let now = reach.services.clock.now();
        let found = reach.services.kv.find(&reach.plugin, &key, now).await;
        Ok(self.stored(found))
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> wasmtime::Result<Result<(), KvError>> {
        if let Err(refused) = self.check_key(&key) {
            return Ok(Err(refused));
        }
        if value.len() > VALUE_BYTES {
            return Ok(Err(KvError::TooLarge(value.len() as u64)));
        }
        let reach = self.reach.clone();
        let now = reach.services.clock.now();
        let entry = Entry { value, expires_at: ttl_ms.map(|ttl| now.plus(Duration::from_millis(ttl))) };
        let quota = reach.grants.kv_bytes;
        let fits = reach.services.kv.set(&reach.plugin, &key, entry, quota, now).await;
        Ok(match self.stored(fits) {
            Ok(true) => Ok(()),
            Ok(false) => Err(KvError::Quota(format!("plugin {} is granted {quota} bytes", reach.plugin))),
            Err(error) => Err(error),
        })
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), KvError>> {
        if let Err(refused) = self.check_key(&key) {
            return Ok(Err(refused));
        }
        let reach = self.reach.clone();
        let done = reach.services.kv.delete(&reach.plugin, &key).await;
        Ok(self.stored(done))
    }
}
