//! Lists, a page at a time: `limit`, `after` (an opaque cursor), `sort`; answered as `{"items": […], "next": …}`.

use std::error::Error as _;

use axum::{
    extract::{FromRequestParts, Query},
    http::{Uri, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::escaped,
    error::{ApiError, ApiResult, Faults},
};

/// A page of a list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to send as `after` for the next one; absent on the last.
    pub next: Option<String>,
}

/// Which page is asked for. Flatten the fields into a query struct of one's own: serde cannot deny unknown fields of a flattened one.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// At most this many, 1 to 1000; 100 when absent.
    pub limit: Option<i64>,
    /// The `next` of the page before.
    pub after: Option<String>,
}

/// How many items a page may have, checked.
pub fn limit(asked: Option<i64>) -> ApiResult<usize> {
    let limit = asked.unwrap_or(100);
    usize::try_from(limit)
        .ok()
        .filter(|limit| (1..=1000).contains(limit))
        .ok_or_else(|| Faults::one("/limit", "must be 1 to 1000").into())
}

/// Reads a cursor that `Page::next` gave.
pub fn cursor<K: DeserializeOwned>(after: Option<&str>) -> ApiResult<Option<K>> {
    let Some(after) = after else { return Ok(None) };
    let key = URL_SAFE_NO_PAD.decode(after).ok().and_then(|json| serde_json::from_slice(&json).ok());
    key.map(Some).ok_or_else(|| Faults::one("/after", "is not a cursor that a page of this list gave").into())
}

impl<T> Page<T> {
    /// A page of `limit` items out of `items`, which were asked for with one more; `key` is what the next one starts after.
    pub fn new<K: Serialize>(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> K) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        let next = last.and_then(|last| serde_json::to_vec(&key(last)).ok()).map(|json| URL_SAFE_NO_PAD.encode(json));
        Self { items, next }
    }

    /// The same page of other items.
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(each).collect(), next: self.next }
    }
}

/// A query string of type `T`, with problem documents for what is wrong in it.
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(_) => Err(query_faults::<T>(parts.uri.query().unwrap_or_default()).into()),
        }
    }
}

/// Every fault of a query string: each parameter at fault is left out, and the rest is read again. Of those that are missing
/// the reader tells the first.
fn query_faults<T: DeserializeOwned>(query: &str) -> Faults {
    let mut faults = Faults::new();
    let mut pairs: Vec<&str> = query.split('&').collect();
    while let Err(told) = read_query::<T>(&pairs) {
        let (name, message) = place(&told);
        let pointer = name.map(|name| format!("/{}", escaped(name))).unwrap_or_default();
        faults.add(pointer, message);
        let before = pairs.len();
        pairs.retain(|pair| pair.split('=').next() != name);
        if pairs.len() == before {
            break;
        }
    }
    faults
}

/// Which parameter is at fault, and how, by what the reader told.
fn place(told: &str) -> (Option<&str>, String) {
    let quoted = told.split('`').nth(1);
    match told.split_once(": ").filter(|(name, _)| !name.contains(' ')) {
        Some((name, fault)) => {
            let unknown = format!("unknown field `{name}`");
            (Some(name), fault.replacen(&unknown, "is no parameter of this", 1))
        }
        None if told.starts_with("missing field ") => (quoted, "is missing".to_owned()),
        None if told.starts_with("duplicate field ") => (quoted, "stands there twice".to_owned()),
        None => (None, told.to_owned()),
    }
}

fn read_query<T: DeserializeOwned>(pairs: &[&str]) -> Result<(), String> {
    let uri: Uri = format!("/?{}", pairs.join("&")).parse().map_err(|_| "it is no query string".to_owned())?;
    let read = Query::<T>::try_from_uri(&uri).map(drop);
    read.map_err(|error| {
        let causes = std::iter::successors(error.source(), |error: &&dyn std::error::Error| (*error).source());
        causes.last().map_or_else(|| error.body_text(), ToString::to_string)
    })
}

/// One field of `sort=field,-field`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey<'a> {
    /// The field.
    pub field: &'a str,
    /// Whether it was written with `-`.
    pub descending: bool,
}

/// Reads `sort`, whose fields must be among `known`.
pub fn sort<'a>(sort: Option<&'a str>, known: &[&str]) -> ApiResult<Vec<SortKey<'a>>> {
    let mut keys = Vec::new();
    for part in sort.unwrap_or("").split(',').filter(|part| !part.is_empty()) {
        let (field, descending) = part.strip_prefix('-').map_or((part, false), |field| (field, true));
        if !known.contains(&field) {
            return Err(Faults::one(
                "/sort",
                format!("there is no field {field:?} to sort by; there are {}", known.join(", ")),
            )
            .into());
        }
        keys.push(SortKey { field, descending });
    }
    Ok(keys)
}
