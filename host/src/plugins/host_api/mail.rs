//! `looma:host/mail`: mail through the operator's server. This host has no mail server yet to send through, and says so.

use crate::plugins::bindings::looma::host::mail::{Host, MailError, Message};

use super::{Ctx, Interface};

impl Host for Ctx {
    async fn send(&mut self, _: Message) -> wasmtime::Result<Result<(), MailError>> {
        self.asked(Interface::Mail)?;
        self.reach.denied(Interface::Mail);
        let why = match self.reach.grants.mail {
            true => "no mail server is configured".to_owned(),
            false => format!("plugin {} is not granted mail", self.reach.plugin),
        };
        Ok(Err(MailError::Denied(why)))
    }
}
