//! `looma:host/mail`: mail through the operator's server, for plugins that are granted it.

use crate::plugins::bindings::looma::host::mail::{Host, MailError, Message};

use super::{Ctx, Interface};

impl Host for Ctx {
    async fn send(&mut self, message: Message) -> wasmtime::Result<Result<(), MailError>> {
        self.asked(Interface::Mail)?;
        let sent = self.sent(message).await;
        if let Err(MailError::Denied(_)) = &sent {
            self.reach.denied(Interface::Mail);
        }
        Ok(sent)
    }
}

impl Ctx {
    async fn sent(&mut self, message: Message) -> Result<(), MailError> {
        let has = self.take_request();
        let reach = &self.reach;
        if !reach.grants.mail {
            return Err(MailError::Denied(format!("plugin {} is not granted mail", reach.plugin)));
        }
        if !has {
            return Err(MailError::Denied("this call sent too many mails".to_owned()));
        }
        let secrets = &reach.services.secrets;
        let Message { to, subject, text, html } = message;
        let (subject, text) = (secrets.mask(subject), secrets.mask(text));
        let message = Message { to, subject, text, html: html.map(|html| secrets.mask(html)) };
        // The call's own deadline comes a little later, so that the plugin can still say what happened.
        let within = reach.remaining().mul_f32(0.95);
        let sent = tokio::time::timeout(within, reach.services.mail.send(&reach.plugin, message)).await;
        sent.unwrap_or_else(|_| Err(MailError::Unreachable("the mail server did not answer in time".to_owned())))
    }
}
