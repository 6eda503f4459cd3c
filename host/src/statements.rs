//! Every SQL statement there is, so that one test can prepare each of them on its database.

use crate::{db::lease, feed, system, users};

/// Statements by the database that they are for: name and text.
#[derive(Debug)]
pub struct Statements {
    /// One text for both.
    pub both: Vec<(&'static str, &'static str)>,
    /// For SQLite alone.
    pub sqlite: Vec<(&'static str, &'static str)>,
    /// For PostgreSQL alone.
    pub postgres: Vec<(&'static str, &'static str)>,
}

/// All of them.
pub fn all() -> Statements {
    Statements {
        both: [
            lease::LEASE_STATEMENTS,
            feed::STATEMENTS,
            system::STATEMENTS,
            users::STATEMENTS,
            users::SESSION_STATEMENTS,
        ]
        .concat(),
        sqlite: [feed::SQLITE].concat(),
        postgres: [feed::POSTGRES].concat(),
    }
}
