//! A merge patch of a service: of what was registered, and of what is said of its state.

use serde_json::{Map, Value};

use super::{NewService, Service, types::Condition};
use crate::http::{
    body::Patch,
    error::{ApiError, ApiResult, Faults},
};

/// What a patch says of the state of a service.
#[derive(Clone)]
pub(super) struct Said {
    condition: Condition,
    /// Whether it says anything of its health.
    of_health: bool,
}

impl Said {
    /// The service that it is said of, in the state that is said.
    pub(super) fn of(self, service: Service) -> Service {
        let Condition { status, health_status, health_reason } = self.condition;
        let service = Service { status, ..service };
        if self.of_health { service.said_to_be(health_status, health_reason) } else { service }
    }
}

/// Lays a patch over what was registered and over the state; every fault of both is told.
pub(super) fn patched(current: &Service, mut fields: Map<String, Value>) -> ApiResult<(NewService, Said)> {
    let of_health = ["health_status", "health_reason"].iter().any(|name| fields.contains_key(*name));
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
        (Ok(new), Ok(condition)) => Ok((new, Said { condition, of_health })),
        (Err(Err(other)), _) | (_, Err(Err(other))) => Err(other),
        _ => Err(faults.into()),
    }
}
