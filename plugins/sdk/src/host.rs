//! What the host offers to plugins. Each kind has only some of it, and most of it only when an operator grants it.

pub use crate::bindings::host::looma::host::{clock, http, kv, log, mail, net};

use log::Level;

/// Writes a line to the host's log.
pub fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<(String, String)> =
        fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    log::log(level, message, &fields);
}
