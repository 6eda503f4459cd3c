//! Services: one running instance each. Read on in `types` (what it is and what becomes of it), `queries`, `routes`.

mod patch;
mod queries;
mod register;
mod routes;
mod types;

pub(super) use register::is_renewed;
pub(super) use routes::{MOST_HEARTBEATS, page_of, routes};
pub use types::{Check, CheckKind, NewService, SELF, SERVICES, Service, ServiceStatus};

use super::{
    WriteError,
    member::member,
    writer::{Edit, Verdict},
};
use crate::http::auth::Caller;

pub(super) use queries::{POSTGRES, SQLITE, STATEMENTS, all};

member!(Service, ServiceId, service_id, SERVICES, "service", last_heartbeat, services);

/// A bound token speaks for the service that is there, whatever it is told that it shall be.
pub(super) fn speaking(who: &Caller, edit: Edit<Service>) -> Edit<Service> {
    let who = who.clone();
    edit.checked(move |row| match who.speaks_for(&row.service_id, &row.service_name) {
        true => Ok(()),
        false => Err(WriteError::NotYours),
    })
}

/// Whoever registers a service knows it best: what is new replaces what was, and counts as a heartbeat.
pub(super) fn registering(new: NewService, who: &Caller) -> Edit<Service> {
    let id = new.service_id.clone();
    let judge = move |row: Option<&Service>, now| {
        Ok(match row {
            None => Verdict::Put(new.service(None, SELF, now)),
            Some(row) if row.is_as(&new) && row.origin == SELF => match row.is_woken_by_a_beat() {
                true => Verdict::Transition(row.clone().beaten(now)),
                false => Verdict::Keep,
            },
            Some(row) => Verdict::Put(new.service(Some(row), SELF, now).beaten(now)),
        })
    };
    speaking(who, Edit { id, actor: Some(who.actor()), judge: Box::new(judge) })
}
