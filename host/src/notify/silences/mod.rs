//! Silences: alerts that match one are not told while it lasts. They fire all the same, and are shown.

mod queries;
mod routes;
mod types;

pub(crate) use queries::{STATEMENTS, all, delete_ended};
pub use routes::routes;
pub use types::{SILENCES, Silence, SilenceId};
