//! Who changed what, to be read. The rows are written with the changes themselves, by the feed; nothing changes them, and
//! no request but a read ever comes here.

mod queries;
mod routes;
mod types;

pub(crate) use queries::STATEMENTS;
pub use routes::routes;
pub use types::AuditLog;
