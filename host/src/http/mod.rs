//! What every HTTP handler stands on: errors as problem documents, who is asking, bodies, pages. It knows no domain.
//!
//! Only `router` names the domains: it is the whole API on one page, and stands two floors up.

pub mod auth;
pub mod body;
pub mod error;
pub mod etag;
pub mod openapi;
pub mod page;
pub mod request;
pub mod router;
pub mod serve;
