//! Lists: which filters and which order a caller asks for, and how a page is cut. It never builds SQL out of a caller's words.

use serde::{Deserialize, Serialize};

use super::queries::{self, Listed, Value};
use crate::{
    db::AsConn,
    http::{
        error::{ApiResult, Faults},
        page::{self, Page, SortKey},
    },
};

/// One filter: the field that a caller named, the condition it stands for (`{}` is the value), and the value.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The field.
    pub field: &'static str,
    /// The condition, in SQL.
    pub condition: &'static str,
    /// The value.
    pub value: String,
}

/// Which page of which part of a list.
#[derive(Debug, Default)]
pub struct Asked {
    /// At most this many.
    pub limit: Option<i64>,
    /// The cursor.
    pub after: Option<String>,
    /// The order.
    pub sort: Option<String>,
    /// What is on the list, beside what it always is.
    pub filters: Vec<Filter>,
}

/// A place in a list: the values that it is sorted by, and the key.
#[derive(Debug, Serialize, Deserialize)]
pub struct Place(pub Vec<Value>);

/// A page of what `asked` describes and `always` (a condition without values) holds of.
pub async fn page<T: Listed>(on: &mut dyn AsConn, asked: Asked, always: &'static str) -> ApiResult<Page<T>> {
    let Asked { limit, after, sort, filters } = asked;
    let mut faults = Faults::new();
    for Filter { field, value, .. } in &filters {
        faults.text(&format!("/{field}"), value, 500);
    }
    faults.finish()?;
    let limit = page::limit(limit)?;
    let keys = page::sort(sort.as_deref(), T::SORTS)?;
    let place: Option<Place> = page::cursor(after.as_deref())?;
    if place.as_ref().is_some_and(|place| !fits(place, &keys)) {
        return Err(Faults::one("/after", "is not a cursor that a page in this order gave").into());
    }
    let items: Vec<T> = queries::list(on, &filters, always, &keys, place.as_ref(), limit + 1).await?;
    Ok(Page::new(items, limit, |item| {
        let sorted = keys.iter().map(|key| item.sort_value(key.field));
        Place(sorted.chain([Value::Text(item.key().to_owned())]).collect())
    }))
}

/// Whether a place has a value of the right kind for each key: a cursor is a caller's word.
fn fits(Place(values): &Place, keys: &[SortKey<'_>]) -> bool {
    let kinds = keys.iter().map(|key| key.field.ends_with("_at")).chain([false]);
    values.len() == keys.len() + 1
        && values.iter().zip(kinds).all(|(value, is_time)| match value {
            Value::Time(_) => is_time,
            Value::Text(text) => !is_time && !text.contains('\0'),
        })
}

/// A query string of a list: where it is read into, and what it asks for.
pub trait ListQuery: Send {
    /// Whether deleted things are asked for instead of the others.
    fn deleted(&self) -> bool;
    /// The page, the order and the filters.
    fn asked(self) -> Asked;
}

/// Declares the query string of a list: each field is a filter, and the text is its condition.
macro_rules! list_query {
    ($(#[$meta:meta])* $name:ident $(with $deleted:ident)? { $($(#[$field_meta:meta])* $field:ident: $type:ty = $condition:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub struct $name {
            /// At most this many, 1 to 1000; 100 when absent.
            pub limit: Option<i64>,
            /// The `next` of the page before.
            pub after: Option<String>,
            /// `field,-field`; in the order of keys, which is that of creation, when absent.
            pub sort: Option<String>,
            $(
                /// `true` shows those that were deleted, instead of the others.
                pub $deleted: Option<bool>,
            )?
            $($(#[$field_meta])* pub $field: Option<$type>,)*
        }

        impl $crate::talent::base::list::ListQuery for $name {
            fn deleted(&self) -> bool {
                false $(|| self.$deleted.unwrap_or(false))?
            }

            fn asked(self) -> $crate::talent::base::list::Asked {
                let Self { limit, after, sort, $($field,)* $($deleted: _)? } = self;
                let filters: &[Option<$crate::talent::base::list::Filter>] = &[$($field.map(|value: $type| {
                    $crate::talent::base::list::Filter {
                        field: stringify!($field),
                        condition: $condition,
                        value: value.to_string(),
                    }
                })),*];
                $crate::talent::base::list::Asked { limit, after, sort, filters: filters.iter().flatten().cloned().collect() }
            }
        }
    };
}

pub(in crate::talent) use list_query;
