//! Services: one running instance each. Read on in `types` (what it is), `check` (how it is asked), `signals` (what its
//! health is made of), `life` (what becomes of it), `queries`, `routes`.

mod check;
mod life;
mod patch;
mod queries;
mod register;
mod routes;
mod signals;
mod types;

pub use check::{Check, CheckKind};
pub(super) use life::silence_of;
pub(super) use register::is_renewed;
pub(super) use routes::{MOST_HEARTBEATS, page_of, routes};
pub use signals::{Hold, Signal, Signals};
pub use types::{NewService, SELF, SERVICES, SIGNALS, Service, ServiceStatus};

use super::{
    SetMaintenance, WriteError,
    member::member,
    types as registry_types,
    writer::{Edit, Verdict},
};
use crate::{db::Json, http::auth::Caller, ids::ServiceId};

pub(super) use queries::{POSTGRES, SQLITE, STATEMENTS, all};

member!(Service, ServiceId, service_id, SERVICES, SIGNALS, "service", last_heartbeat, services);

/// A bound token speaks for the service that is there, whatever it is told that it shall be.
pub(super) fn speaking(who: &Caller, edit: Edit<Service>) -> Edit<Service> {
    let who = who.clone();
    edit.checked(move |row| match who.speaks_for(&row.service_id, &row.service_name) {
        true => Ok(()),
        false => Err(WriteError::NotYours),
    })
}

/// Begins or ends the maintenance of a service.
pub(super) fn maintaining(id: &ServiceId, asked: SetMaintenance, who: &Caller) -> Edit<Service> {
    let edit = Edit::existing(id, Some(who.actor()), move |row: &Service, now| {
        let maintenance = registry_types::maintenance(&asked, &row.maintenance, now);
        Ok(match *row.maintenance == maintenance {
            true => Verdict::Keep,
            false => Verdict::Put(Service { maintenance: Json(maintenance), updated_at: now, ..row.clone() }),
        })
    });
    speaking(who, edit)
}

/// Whoever registers a service knows it best: what is new replaces what was, and counts as a heartbeat where any is expected.
pub(super) fn registering(new: NewService, who: &Caller) -> Edit<Service> {
    let id = new.service_id.clone();
    let judge = move |row: Option<&Service>, now| {
        Ok(match row {
            None => Verdict::Put(new.service(None, SELF, now)),
            Some(row) if row.is_as(&new) && row.origin == SELF => {
                match row.beats_by_registering() && row.is_woken_by_a_beat() {
                    true => Verdict::Transition(row.clone().beaten(now)),
                    false => Verdict::Keep,
                }
            }
            Some(row) => {
                let service = new.service(Some(row), SELF, now);
                Verdict::Put(if service.beats_by_registering() { service.beaten(now) } else { service })
            }
        })
    };
    speaking(who, Edit { id, actor: Some(who.actor()), judge: Box::new(judge) })
}
