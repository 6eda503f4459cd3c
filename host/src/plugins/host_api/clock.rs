//! `looma:host/clock`: what time it is.

use crate::plugins::bindings::looma::host::clock::Host;

use super::{Ctx, Interface};

impl Host for Ctx {
    fn now_ms(&mut self) -> wasmtime::Result<i64> {
        self.asked(Interface::Clock)?;
        Ok(self.reach.services.clock.now().millis())
    }
}
