//! Reading a JSON body. What is malformed is 400, what is understood but wrong is 422 with every fault and its pointer.
//!
//! A good body is read once, straight into its type. Only a body that does not fit is looked at again, against the
//! schema that the OpenAPI document shows, to find every fault and not just the first.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::header,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower_http::timeout::TimeoutError;
use utoipa::ToSchema;

use super::{
    error::{ApiError, ApiResult, Faults},
    unique,
};

/// A JSON body of type `T`.
pub struct Body<T>(pub T);

/// A JSON merge patch (RFC 7396): what is absent stays, `null` removes.
pub struct Patch(pub serde_json::Map<String, Value>);

/// How many faults of one body are told.
const MOST_FAULTS: usize = 100;

/// The schemas that bodies refer to; set once, from the finished OpenAPI document.
static COMPONENTS: OnceLock<Value> = OnceLock::new();

/// Tells where the schemas are that bodies refer to.
pub fn set_components(document: &utoipa::openapi::OpenApi) {
    let components = document.components.as_ref().and_then(|c| serde_json::to_value(c).ok()).unwrap_or_default();
    let _ = COMPONENTS.set(components);
}

impl<S: Send + Sync, T: DeserializeOwned + ToSchema> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = json_bytes(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for Patch {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = json_bytes(request, state).await?;
        let patch = read::<Value>(&bytes)?;
        repetitions(&bytes).finish()?;
        match patch {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(Faults::one("", "a merge patch is a JSON object").into()),
        }
    }
}

impl Patch {
    /// Applies the patch to what is there, as JSON, and reads the result; the faults are those of the result.
    pub fn apply<T: serde::Serialize + DeserializeOwned + ToSchema>(&self, current: &T) -> ApiResult<T> {
        let mut value = serde_json::to_value(current).map_err(|error| ApiError::Internal(error.into()))?;
        merge(&mut value, Value::Object(self.0.clone()));
        let bytes = serde_json::to_vec(&value).map_err(|error| ApiError::Internal(error.into()))?;
        parse(&bytes)
    }
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(fields) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in fields {
        if value.is_null() {
            target.remove(&key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

async fn json_bytes<S: Send + Sync>(request: Request, state: &S) -> ApiResult<Bytes> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let essence = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if essence != "application/json" && !(essence.starts_with("application/") && essence.ends_with("+json")) {
        return Err(ApiError::UnsupportedMediaType("send JSON, with Content-Type: application/json".to_owned()));
    }
    whole(request, state).await
}

/// A body to its end, whatever it is.
pub async fn whole<S: Send + Sync>(request: Request, state: &S) -> ApiResult<Bytes> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status().as_u16() {
        413 => ApiError::TooLarge("the body is larger than this path takes".to_owned()),
        _ if is_timeout(&rejection) => ApiError::Timeout,
        _ => ApiError::Malformed(Faults::one("", format!("could not read the body: {}", rejection.body_text()))),
    })
}

fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| cause.is::<TimeoutError>())
}

/// Reads JSON, and answers 400 with line and column where it is not.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> ApiResult<T> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::Malformed(Faults::one("", error.to_string())))
}

/// Reads a `T`, or tells everything that keeps the text from being one.
pub fn parse<T: DeserializeOwned + ToSchema>(bytes: &[u8]) -> ApiResult<T> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let error = match serde_path_to_error::deserialize(&mut json) {
        Ok(value) => {
            json.end().map_err(|error| ApiError::Malformed(Faults::one("", error.to_string())))?;
            repetitions(bytes).finish()?;
            return Ok(value);
        }
        Err(error) => error,
    };
    let value: Value = read(bytes)?;
    let mut faults = schema_faults::<T>(&value);
    let mut all = repetitions(bytes);
    // What no schema says: a time that is none.
    let first = pointer(error.path());
    let text = error.inner().to_string();
    if !faults.iter().any(|(at, _)| at.starts_with(&first)) && !text.starts_with("duplicate field") {
        faults.insert(0, (first, text.split(" at line ").next().unwrap_or(&text).to_owned()));
    }
    for (pointer, message) in faults {
        all.add(pointer, message);
    }
    Err(ApiError::Invalid(all))
}

/// A fault for each name that stands twice in one object.
fn repetitions(bytes: &[u8]) -> Faults {
    let mut faults = Faults::new();
    for pointer in unique::repeated(bytes, MOST_FAULTS) {
        faults.add(pointer, "stands there twice");
    }
    faults
}

fn schema_faults<T: ToSchema>(value: &Value) -> Vec<(String, String)> {
    let Some(validator) = validator::<T>() else { return Vec::new() };
    validator.iter_errors(value).take(MOST_FAULTS).flat_map(|error| in_words(&error)).collect()
}

/// What holds values against the schema of `T`: made once.
fn validator<T: ToSchema>() -> Option<Arc<jsonschema::Validator>> {
    static MADE: Mutex<BTreeMap<String, Arc<jsonschema::Validator>>> = Mutex::new(BTreeMap::new());
    let name = format!("{} {}", T::name(), std::any::type_name::<T>());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(validator) = made.get(&name) {
        return Some(validator.clone());
    }
    let mut schema = serde_json::to_value(T::schema()).unwrap_or_default();
    if let (Value::Object(schema), Some(components)) = (&mut schema, COMPONENTS.get()) {
        schema.insert("components".to_owned(), components.clone());
    }
    let validator = Arc::new(jsonschema::validator_for(&schema).ok()?);
    made.insert(name, validator.clone());
    Some(validator)
}

/// Where it is and what: a field too many or too few is told at that field, not at the object around it.
fn in_words(error: &jsonschema::ValidationError<'_>) -> Vec<(String, String)> {
    use jsonschema::error::ValidationErrorKind;
    let at = error.instance_path().to_string();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|name| (format!("{at}/{}", escaped(name)), "is not a field of this".to_owned()))
            .collect(),
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![(format!("{at}/{}", escaped(name)), "is missing".to_owned())]
        }
        _ => vec![(at, error.to_string())],
    }
}

/// A name as a step of a JSON pointer (RFC 6901, section 3).
pub fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escaped(key))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_follows_the_examples_of_rfc_7396() {
        for (mut target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            merge(&mut target, patch);
            assert_eq!(target, expected);
        }
    }
}
