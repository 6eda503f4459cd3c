//! `looma:host/clock`: what time it is.

use crate::plugins::bindings::looma::host::clock::Host;

use super::Ctx;

impl Host for Ctx {
    fn now_ms(&mut self) -> wasmtime::Result<i64> {
        Ok(self.reach.services.clock.now().millis())
    }
}
