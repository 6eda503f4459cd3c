//! Registering services: what is filled in, who may, and many at once.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    super::{
        Registry, WriteError,
        writer::{self, Reply},
    },
    NewService, SELF, Service, registering,
};
use crate::{
    app::App,
    db,
    http::{
        auth::Caller,
        error::{ApiError, ApiResult, Fault, Faults},
    },
    ids::ServiceId,
};

/// Many services at once. Each is read on its own, so that a bad one does not spoil the others.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    /// 1 to 1000 of what `POST /services` takes.
    #[schema(value_type = Vec<NewService>)]
    pub(super) services: Vec<Box<serde_json::value::RawValue>>,
}

/// What became of one service of a batch.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchItem {
    /// Its id, if it had one.
    service_id: Option<String>,
    /// 201 new, 200 known, 403 not yours, 422 wrong; 500 refused by the database, 503 to be tried again.
    status: u16,
    /// What is wrong with it.
    errors: Vec<Fault>,
}

/// What became of a batch, in its order.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchAnswer {
    /// One for each service that was sent.
    pub(super) items: Vec<BatchItem>,
}

pub(super) fn with_defaults(app: &App, new: NewService) -> NewService {
    let ttl = new.ttl_seconds.unwrap_or_else(|| i64::from(app.settings.registry.default_ttl_seconds));
    NewService { ttl_seconds: Some(ttl), ..new }
}

/// Takes it as a heartbeat if memory can tell that it is a renewal and changes nothing.
pub(in super::super) fn is_renewed(registry: &Registry, new: &NewService) -> bool {
    let same = |known: &Service| {
        known.is_as(new) && known.origin == SELF && known.beats_by_registering() && !known.is_woken_by_a_beat()
    };
    registry.renews_from_memory()
        && registry.service(&new.service_id).as_deref().is_some_and(same)
        && matches!(registry.touch::<Service>(&new.service_id), Some(None))
}

/// Registers each service of a batch, and says what became of it, in its order.
pub(super) async fn register_all(app: &App, who: &Caller, batch: &Batch) -> ApiResult<Vec<BatchItem>> {
    let mut items = Vec::with_capacity(batch.services.len());
    let (mut edits, mut places) = (Vec::new(), Vec::new());
    for sent in &batch.services {
        match read_one(who, app, sent.get()) {
            Err((service_id, status, errors)) => items.push(BatchItem { service_id, status, errors }),
            Ok(new) => {
                let service_id = Some(new.service_id.0.clone());
                if !is_renewed(&app.registry, &new) {
                    edits.push(registering(new, who));
                    places.push(items.len());
                }
                items.push(BatchItem { service_id, status: 200, errors: Vec::new() });
            }
        }
    }
    let replies = writer::write(&app.registry.core, &edits).await;
    fail_as_a_whole(&replies)?;
    for ((reply, edit), place) in replies.into_iter().zip(&edits).zip(places) {
        match reply {
            Ok(done) => {
                app.registry.registered(&done, &edit.id).await?;
                items[place].status = if done.before.is_none() { 201 } else { 200 };
            }
            Err(error) => (items[place].status, items[place].errors) = refused(&edit.id, error),
        }
    }
    Ok(items)
}

/// Where nothing could be written, and not because of what was to be written, there is one answer for all.
fn fail_as_a_whole(replies: &[Reply<Service>]) -> ApiResult<()> {
    let down = |reply: &Reply<Service>| match reply {
        Err(WriteError::Failed(cause)) => !db::is_refusal(cause),
        _ => false,
    };
    match replies.first() {
        Some(Err(error)) if replies.iter().all(down) => Err(error.clone().into()),
        _ => Ok(()),
    }
}

/// What one is told that could not be written.
fn refused(id: &ServiceId, error: WriteError) -> (u16, Vec<Fault>) {
    let cause = error.to_string();
    let (status, message) = match ApiError::from(error) {
        ApiError::Forbidden(why) => (403, why),
        ApiError::Unavailable(why, _) => (503, why),
        _ => {
            tracing::error!(service.id = %id, error = cause, "could not register a service of a batch");
            (500, "something went wrong here: the log has it".to_owned())
        }
    };
    (status, Faults::one("", message).into_vec())
}

type Wrong = (Option<String>, u16, Vec<Fault>);

fn read_one(who: &Caller, app: &App, sent: &str) -> Result<NewService, Wrong> {
    let wrong = |id: Option<String>, error: ApiError| match error {
        ApiError::Invalid(faults) | ApiError::Malformed(faults) => (id, 422, faults.into_vec()),
        ApiError::Forbidden(why) => (id, 403, Faults::one("", why).into_vec()),
        other => (id, 422, Faults::one("", format!("{other:?}")).into_vec()),
    };
    let new: NewService = crate::http::body::parse(sent.as_bytes()).map_err(|error| {
        let value: serde_json::Value = serde_json::from_str(sent).unwrap_or_default();
        wrong(value["service_id"].as_str().map(str::to_owned), error)
    })?;
    let id = Some(new.service_id.0.clone());
    new.check().map_err(|faults| wrong(id.clone(), faults.into()))?;
    let new = with_defaults(app, new);
    who.must_speak_for(&new.service_id, &new.service_name).map_err(|error| wrong(id, error))?;
    Ok(new)
}
