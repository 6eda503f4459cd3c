//! Rules: what is watched, how it is judged, and what is said when it is breached.

mod queries;
mod routes;
mod types;

pub(crate) use queries::{STATEMENTS, all, all_health, put_health};
pub use routes::routes;
pub use types::{Health, RULES, Rule, RuleSpec};
