//! What plugins stand on that operators set: the keys that are trusted, the mail server, the name servers.

use super::{host_api::Names, mailer::Mailer, signing::Trust};
use crate::{
    clock::Clock,
    ids::Ids,
    settings::{Mail, Settings},
};

/// What operators set for all plugins.
pub(super) struct Outside {
    pub(super) trust: Trust,
    pub(super) mail: Mailer,
    pub(super) names: Names,
}

impl Outside {
    /// Reads what was set.
    pub(super) fn open(settings: &Settings, clock: &Clock, ids: &Ids) -> anyhow::Result<Self> {
        let own = &settings.plugins;
        Ok(Self {
            trust: Trust::new(&own.trusted_keys, own.require_signature.into())?,
            mail: Mailer::open(&settings.mail, clock, ids)?,
            names: Names::new(own.name_servers.clone()),
        })
    }

    /// Nothing was set.
    pub(super) fn none(clock: &Clock) -> Self {
        let mail = Mailer::open(&Mail::default(), clock, &Ids::new(clock.clone()));
        let mail = mail.expect("without a server there is nothing to read");
        Self { trust: Trust::default(), mail, names: Names::new(Vec::new()) }
    }
}
