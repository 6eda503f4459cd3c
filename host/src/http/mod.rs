//! What every HTTP handler stands on: errors as problem documents, who is asking, bodies, pages. It knows no domain.
//!
//! Only `router` names the domains: it is the whole API on one page, and stands two floors up.

pub mod error;
pub mod auth;
pub mod body;
mod unique;
pub mod etag;
pub mod idempotency;
pub mod inner;
pub mod page;
pub mod openapi;
pub mod request;
pub mod serve;
pub mod router;
