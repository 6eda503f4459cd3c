//! Registering services: what is filled in, who may, and many at once.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    super::{Registry, writer},
    NewService, SELF, registering,
};
use crate::{
    app::App,
    http::{
        auth::Caller,
        error::{ApiError, ApiResult, Fault, Faults},
    },
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
    /// 201 new, 200 known, 403 not yours, 422 wrong.
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

pub(super) fn is_known_as(registry: &Registry, new: &NewService) -> bool {
    registry.service(&new.service_id).is_some_and(|known| known.is_as(new) && known.origin == SELF)
}

/// A bound token speaks for the service that it was, and for the one that it shall be.
pub(super) fn may_register(who: &Caller, app: &App, new: &NewService) -> ApiResult<()> {
    if let Some(known) = app.registry.service(&new.service_id) {
        who.must_speak_for(&known.service_id, &known.service_name)?;
    }
    who.must_speak_for(&new.service_id, &new.service_name)
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
                let woken = if is_known_as(&app.registry, &new) { app.registry.touch(&new.service_id) } else { None };
                match woken {
                    Some(None) => {}
                    Some(Some(edit)) => edits.push(edit),
                    None => edits.push(registering(new, who.actor())),
                }
                places.extend((edits.len() > places.len()).then_some(items.len()));
                items.push(BatchItem { service_id, status: 200, errors: Vec::new() });
            }
        }
    }
    let replies = writer::write(&app.registry.core, &edits).await;
    for ((reply, edit), place) in replies.into_iter().zip(&edits).zip(places) {
        let done = reply?;
        app.registry.registered(&done, &edit.id);
        if done.before.is_none() {
            items[place].status = 201;
        }
    }
    Ok(items)
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
    may_register(who, app, &new).map_err(|error| wrong(id, error))?;
    Ok(new)
}
