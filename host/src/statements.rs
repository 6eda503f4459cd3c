//! Every SQL statement there is, so that one test can prepare each of them on its database.

use crate::{
    alerts, audit, db, discovery, feed, http, metrics, notify, plugins, registry, secrets, system, talent, users,
};

/// Statements by the database that they are for: name and text.
#[derive(Debug, Default)]
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
    let mut all = Statements::default();
    all.both.extend(db::lease::LEASE_STATEMENTS);
    all.both.extend(feed::STATEMENTS);
    all.sqlite.extend(feed::SQLITE);
    all.postgres.extend(feed::POSTGRES);
    all.both.extend(system::STATEMENTS);
    all.both.extend(users::STATEMENTS);
    all.sqlite.extend(users::SQLITE);
    all.postgres.extend(users::POSTGRES);
    all.both.extend(users::SESSION_STATEMENTS);
    all.both.extend(http::idempotency::STATEMENTS);
    all.both.extend(audit::STATEMENTS);
    all.both.extend(users::TOKEN_STATEMENTS);
    all.both.extend(secrets::STATEMENTS);
    all.both.extend(plugins::STATEMENTS);
    all.both.extend(plugins::ROLLOUT_STATEMENTS);
    all.both.extend(plugins::RECORD_STATEMENTS);
    all.postgres.extend(plugins::POSTGRES);
    all.postgres.extend(metrics::POSTGRES);
    all.sqlite.extend(metrics::SQLITE);
    all.both.extend(metrics::STATEMENTS);
    all.postgres.extend(registry::POSTGRES.concat());
    all.sqlite.extend(registry::SQLITE.concat());
    all.both.extend(registry::STATEMENTS.concat());
    all.postgres.extend(alerts::POSTGRES);
    all.both.extend(alerts::RULE_STATEMENTS);
    all.sqlite.extend(alerts::SQLITE);
    all.both.extend(alerts::STATEMENTS);
    all.postgres.extend(notify::POSTGRES.concat());
    all.sqlite.extend(notify::SQLITE.concat());
    all.both.extend(notify::STATEMENTS.concat());
    all.both.extend(discovery::STATEMENTS);
    let [both, sqlite, postgres] = talent::statements();
    all.both.extend(both);
    all.sqlite.extend(sqlite);
    all.postgres.extend(postgres);
    all
}
