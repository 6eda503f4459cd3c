//! A merge patch of a service: of what was registered, and of what is said of its state.

use serde_json::{Map, Value};

use super::{NewService, Service, types::Condition};
use crate::http::{
    body::Patch,
    error::{ApiError, ApiResult, Faults},
};

/// Lays a patch over what was registered and over the state; every fault of both is told.
pub(super) fn patched(current: &Service, mut fields: Map<String, Value>) -> ApiResult<(NewService, Condition)> {
    let mut state = Map::new();
    for name in ["status", "health_status", "health_reason"] {
        state.extend(fields.remove(name).map(|value| (name.to_owned(), value)));
    }
    let mut faults = Faults::new();
    let mut told = |error: ApiError| match error {
        ApiError::Invalid(found) => {
            faults.under("", found);
            Ok(())
        }
        other => Err(other),
    };
    let condition = match Patch(state).apply(&Condition::of(current)) {
        Ok(condition) => condition.check().map_err(ApiError::from).map(|()| condition),
        Err(error) => Err(error),
    };
    let condition = condition.map_err(&mut told);
    let new = Patch(fields).apply(&current.registration()).and_then(|new: NewService| {
        let mut found = new.check().err().unwrap_or_default();
        found.check(new.service_id == current.service_id, "/service_id", || "cannot be changed".to_owned());
        found
            .finish()
            .map(|()| NewService { ttl_seconds: new.ttl_seconds.or(Some(current.ttl_seconds)), ..new })
            .map_err(ApiError::from)
    });
    let new = new.map_err(&mut told);
    match (new, condition) {
        (Ok(new), Ok(condition)) => Ok((new, condition)),
        (Err(Err(other)), _) | (_, Err(Err(other))) => Err(other),
        _ => Err(faults.into()),
    }
}
