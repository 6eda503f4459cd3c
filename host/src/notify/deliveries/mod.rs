//! The outbox and its log: each notification is a row until its channel has taken it or it is given up.
//!
//! At least once: a row is claimed for longer than an attempt can last, and whoever claimed it and is gone loses its claim. Its
//! id is the same for each attempt. Through one channel, what tells of one group goes in order.

mod deliver;
mod queries;
mod routes;
mod types;

pub use deliver::{release, run, test};
pub(crate) use queries::{POSTGRES, SQLITE, STATEMENTS, insert, prune};
pub use routes::routes;
pub use types::{Delivery, DeliveryStatus};
