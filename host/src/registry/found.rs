//! Services that are found by sources rather than registering themselves: what siblings may do with them.

use super::{
    Health, NewService, Registry, Service, WriteError,
    services::{SELF, Signal},
    writer::{Edit, Verdict},
};
use crate::{clock::Timestamp, http::error::Faults, ids::ServiceId};

/// A service that a source has found.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it is. Its time-to-live is how long it lives without being found again; 0: until it is deregistered.
    pub service: NewService,
    /// Whether it lives, as far as the source knows.
    pub health: Health,
}

/// How what was found meets what is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundAs {
    /// It was not known.
    New,
    /// It was known otherwise.
    Changed,
    /// It was known; being found counts as a heartbeat.
    Same,
    /// It registered itself, or another source found it: it was left as it is.
    Theirs,
}

/// Why what was found could not be registered.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// It is not what a service may be.
    #[error("what was found is no service that can be registered: {0:?}")]
    Invalid(Faults),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// How the origin of a source is written.
fn origin_of(source: &str) -> String {
    format!("source:{source}")
}

fn found(new: &NewService, health: Health, row: Option<&Service>, origin: &str, now: Timestamp) -> Service {
    let service = new.service(row, origin, now);
    if health == Health::Unknown {
        return if row.is_some() { service.beaten(now) } else { service };
    }
    let mut service = service.beaten(now);
    let reason = (health == Health::Critical).then(|| format!("{origin} says so"));
    service.signals.lease = Signal { health, reason };
    service
}

impl Registry {
    /// Registers or renews what the source of this name has found.
    pub async fn register_found(&self, source: &str, found_one: Found) -> Result<FoundAs, FoundError> {
        let Found { mut service, health } = found_one;
        service.check().map_err(FoundError::Invalid)?;
        let ttl = service.ttl_seconds.unwrap_or_else(|| i64::from(self.core.settings.default_ttl_seconds));
        service.ttl_seconds = Some(ttl);
        let (id, origin) = (service.service_id.clone(), origin_of(source));
        if let Some(known) = self.service(&id) {
            if known.origin != origin {
                return Ok(FoundAs::Theirs);
            }
            if known.is_as(&service) && health == Health::Unknown {
                self.beat::<Service>(&id).await?;
                return Ok(FoundAs::Same);
            }
            if known.is_as(&service) && health == known.signals.lease.health {
                // The lease goes on; a source that says critical has not woken it.
                self.touch::<Service>(&id);
                return Ok(FoundAs::Same);
            }
        }
        let judge = move |row: Option<&Service>, now| match row {
            Some(row) if row.origin != origin => Err(WriteError::Theirs(row.origin.clone())),
            row => Ok(Verdict::Transition(found(&service, health, row, &origin, now))),
        };
        match self.edit(Edit { id: id.clone(), actor: None, judge: Box::new(judge) }).await {
            Err(WriteError::Theirs(_)) => Ok(FoundAs::Theirs),
            Err(error) => Err(error.into()),
            Ok(done) => {
                self.heard_of(&done, &id);
                Ok(if done.before.is_some() { FoundAs::Changed } else { FoundAs::New })
            }
        }
    }

    /// Takes away what the source of this name had found; what it had not is left. Tells whether it was there.
    pub async fn deregister_found(&self, source: &str, id: &ServiceId) -> Result<bool, WriteError> {
        let origin = origin_of(source);
        let edit = Edit::existing(id, None, move |row: &Service, _| {
            Ok(if row.origin == origin { Verdict::Remove } else { Verdict::Keep })
        });
        match self.edit(edit).await {
            Ok(done) => Ok(done.after.is_none()),
            Err(WriteError::NotThere(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The services that the source of this name has found.
    pub fn found_by(&self, source: &str) -> Vec<std::sync::Arc<Service>> {
        let (origin, index) = (origin_of(source), self.core.index());
        let all = index.services.after(None).filter(|held| held.thing.origin == origin);
        all.map(|held| held.thing.clone()).collect()
    }

    /// The names of the sources that some service has come from.
    pub fn sources(&self) -> std::collections::BTreeSet<String> {
        let index = self.core.index();
        let origins = index.services.iter().filter_map(|(_, held)| held.thing.origin.strip_prefix("source:"));
        origins.map(str::to_owned).collect()
    }

    /// Whether a service registered itself, so that no source may touch it.
    pub fn is_of_its_own(&self, id: &ServiceId) -> bool {
        self.service(id).is_some_and(|service| service.origin == SELF)
    }
}
