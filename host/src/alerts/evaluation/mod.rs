//! One evaluation of one rule: its series are judged, the state machine takes each a step, and what changed is written down.
//! What does not change is not written. If the evaluator fails, or what came of it could not be written down, nothing changes at
//! all, neither in the database nor in memory.

mod host;
mod judge;
mod states;
mod steps;
mod tape;
mod test;

use std::collections::HashMap;

use super::{queries, record::Record, rules::Rule};
use crate::{app::App, clock::Timestamp, db, feed::Changes, metrics::SeriesId};

pub use host::{Condition, HOST};
pub(super) use judge::JudgeError;
pub(super) use states::offer;
use states::{StateChanges, States};
pub use test::{TestResult, test};

/// What the evaluation of a rule remembers on this replica from one run to the next.
#[derive(Debug, Default)]
pub(super) struct Recollection {
    /// Since when series of open alerts have not been there.
    pub missing: HashMap<SeriesId, Timestamp>,
    /// What the evaluator remembers, once it was read from the database.
    pub states: Option<States>,
}

/// Why an evaluation came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Judge(#[from] JudgeError),
    #[error("could not write down what came of it: {0}")]
    Db(#[from] db::DbError),
}

impl Fault {
    /// Whether the database is at fault, so that it may go well as soon as that is well again.
    pub(super) fn is_of_database(&self) -> bool {
        matches!(self, Self::Db(_) | Self::Judge(JudgeError::Read(_)))
    }
}

/// What became of an evaluation that met no fault.
pub(super) enum Evaluated {
    /// It is written down. With what is to be told of it all the same: series that crash the evaluator, a message that could not be
    /// filled in.
    Done(Option<String>),
    /// The rule or an alert changed meanwhile: nothing was written.
    Overtaken,
}

/// Evaluates a rule.
pub(super) async fn run(app: &App, rule: &Rule, own: &mut Recollection) -> Result<Evaluated, Fault> {
    let now = app.clock.now();
    let judged = judge::judge(app, rule, own, (now, &tape::Tape::of(rule, now))).await?;
    let open = app.alerts.open(&rule.rule_id);
    let steps = steps::Steps { app, rule, now };
    let mut missing = own.missing.clone();
    let outcome = steps.take(&judged, &open, &mut missing);
    let told = judged.told().or(outcome.message_fault);
    // An evaluator that remembers nothing has none.
    let none = States::default();
    let changed = StateChanges::between(own.states.as_ref().unwrap_or(&none), judged.next, &judged.keep);
    if !outcome.record.is_empty() || !changed.is_empty() {
        match db::retried(|| commit(app, rule, &outcome.record, &changed, now)).await {
            Ok(true) => {}
            Ok(false) => return Ok(Evaluated::Overtaken),
            Err(error) => {
                // Whether it was written is not always known: it is read anew.
                own.states = None;
                return Err(error.into());
            }
        }
        if let Some(states) = &mut own.states {
            changed.apply(states);
        }
    }
    own.missing = missing;
    Ok(Evaluated::Done(told))
}

/// Writes everything down in one transaction; false if the rule or an alert changed meanwhile, and nothing was written.
async fn commit(app: &App, rule: &Rule, record: &Record, states: &StateChanges, now: Timestamp) -> db::Result<bool> {
    let mut tx = app.db.write().await?;
    if !queries::hold_rule(&mut tx, &rule.rule_id, rule.updated_at).await?
        || !queries::are_as_expected(&mut tx, &record.rests_on).await?
    {
        tracing::debug!(rule.id = %rule.rule_id, "rule {:?} or an alert of it changed while it was evaluated", rule.spec.rule_name);
        return Ok(false);
    }
    let mut changes = Changes::unaudited();
    record.write(app, &mut tx, &mut changes).await?;
    queries::delete_states(&mut tx, &rule.rule_id, &states.delete).await?;
    queries::put_states(&mut tx, &rule.rule_id, &states.put, now).await?;
    app.feed.commit(tx, changes).await?;
    Ok(true)
}
