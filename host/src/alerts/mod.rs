//! Rules that watch metrics, and the alerts that come of them.
//!
//! A rule is judged by its evaluator plugin, a thousand series a call; what comes of it is decided by the state machine alone. A
//! plugin that fails changes no alert: it is shown on the rule. What is open is in memory on every replica, kept true from the feed;
//! one replica at a time evaluates. Whom alerts reach, and how, is for `notify`.
//!
//! Read on in `types`, `machine` (pending, firing, over), `rules`, `message`, `memory`, `record` (one transaction), `evaluation`
//! (one rule, once), `records` (what evaluators were given), `worker` (all of them, in time), `routes`.

mod evaluation;
mod machine;
mod memory;
mod message;
mod queries;
mod record;
mod records;
mod routes;
mod rules;
mod types;
mod worker;

use std::time::Duration;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

pub use memory::{Alerts, load};
pub(crate) use queries::{POSTGRES, SQLITE, STATEMENTS};
pub(crate) use rules::STATEMENTS as RULE_STATEMENTS;
pub use rules::{Rule, RuleSpec};
pub use types::{Alert, AlertId, ResolveReason, RuleId, Status};

/// The routes of rules and alerts.
pub fn routes() -> OpenApiRouter<App> {
    rules::routes().merge(routes::routes()).merge(records::routes())
}

/// Lets new versions of evaluators be tried on what is remembered; before any is taken.
pub fn offer_states(app: &App) {
    evaluation::offer(app);
}

/// Starts what it does by itself.
pub fn start(app: &App) {
    let own = app.clone();
    app.tasks.every("alerts.evaluate", Duration::from_secs(1), move || {
        let app = own.clone();
        async move { worker::evaluate(&app).await }
    });
    let own = app.clone();
    app.tasks.every("alerts.prune", Duration::from_secs(3600), move || {
        let app = own.clone();
        async move { worker::prune(&app).await }
    });
}
