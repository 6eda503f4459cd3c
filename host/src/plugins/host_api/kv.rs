//! `looma:host/kv`: a small store of a plugin's own. The plugin's name is the host's, so no plugin reaches another's keys.

use std::time::Duration;

use super::{Ctx, Interface, Reach};
use crate::{
    db,
    plugins::{
        bindings::looma::host::kv::{Host, KvError},
        kv::Entry,
    },
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
        if let Err(denied) = self.check_quota() {
            self.reach.denied(Interface::Kv);
            return Err(denied);
        }
        Ok(())
    }

    fn check_quota(&mut self) -> Result<(), KvError> {
        if self.reach.grants.kv_bytes == 0 {
            return Err(KvError::Quota(format!("plugin {} is granted no key-value store", self.reach.plugin)));
        }
        if !self.take_request() {
            return Err(KvError::Quota("this call asked for too many keys".to_owned()));
        }
        Ok(())
    }
}

impl Reach {
    /// Waits for the store, not to the end of the call: the plugin can still say what happened. A fault of the database is logged here
    /// and told to the plugin without its cause. It is asked on the server's own threads, for a connection belongs to the threads that
    /// opened it.
    async fn stored<T: Send + 'static>(
        &self,
        doing: impl Future<Output = db::Result<T>> + Send + 'static,
    ) -> Result<T, KvError> {
        let within = self.remaining().mul_f32(0.95);
        let done = match tokio::time::timeout(within, self.services.home.spawn(doing)).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => return Err(KvError::Unavailable("the store is not available".to_owned())),
            Err(_) => return Err(KvError::Unavailable("the store did not answer in time".to_owned())),
        };
        done.map_err(|error| {
            tracing::warn!(plugin.name = %self.plugin, %error, "the key-value store of plugin {} failed", self.plugin);
            KvError::Unavailable("the store is not available".to_owned())
        })
    }
}

impl Host for Ctx {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, KvError>> {
        self.asked(Interface::Kv)?;
        if let Err(refused) = self.check_key(&key) {
            return Ok(Err(refused));
        }
        let reach = self.reach.clone();
        let now = reach.services.clock.now();
        let own = reach.clone();
        Ok(reach.stored(async move { own.services.kv.find(&own.plugin, &key, now).await }).await)
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> wasmtime::Result<Result<(), KvError>> {
        self.asked(Interface::Kv)?;
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
        let own = reach.clone();
        let fits = async move { own.services.kv.set(&own.plugin, &key, entry, quota, now).await };
        Ok(match reach.stored(fits).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                reach.denied(Interface::Kv);
                Err(KvError::Quota(format!("plugin {} is granted {quota} bytes", reach.plugin)))
            }
            Err(error) => Err(error),
        })
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), KvError>> {
        self.asked(Interface::Kv)?;
        if let Err(refused) = self.check_key(&key) {
            return Ok(Err(refused));
        }
        let reach = self.reach.clone();
        let own = reach.clone();
        Ok(reach.stored(async move { own.services.kv.delete(&own.plugin, &key).await }).await)
    }
}
