//! Routes: which alerts go to which channels, and how they are gathered on the way. One level, tried in order of position;
//! the first route that matches ends the search unless it says `continue`.

mod queries;
mod routes;
mod types;

pub(crate) use queries::{POSTGRES, SQLITE, STATEMENTS, all, hold};
pub use routes::routes;
pub use types::{ROUTES, Route, RouteId, RouteSpec};
