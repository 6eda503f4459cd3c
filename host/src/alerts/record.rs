//! Writing down what became of alerts: the record, the event for watchers and what people are to be told, in one transaction.

use super::{
    queries,
    types::{ALERTS, Alert, AlertId, ResolveReason, Status},
};
use crate::{
    app::App,
    clock::Timestamp,
    db::{self, Tx},
    feed::Changes,
    notify,
};

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// New ones, and changed ones as they are now.
    pub put: Vec<Alert>,
    /// Those that went away before they fired.
    pub dropped: Vec<AlertId>,
    /// Which alerts it rests on, and when each had last changed.
    pub rests_on: Vec<(AlertId, Timestamp)>,
    /// Those of `put` that people are to be told of: they begin to fire, fire at another level, or are over.
    pub tell: Vec<notify::Told>,
}

impl Record {
    pub(super) fn is_empty(&self) -> bool {
        self.put.is_empty() && self.dropped.is_empty()
    }

    /// One more alert as it is now, of which nobody is told.
    pub(super) fn keep(&mut self, alert: Alert) {
        self.put.push(alert);
    }

    /// One more alert as it is now, of which people are told.
    pub(super) fn tell(&mut self, alert: Alert) {
        self.tell.push(alert.told());
        self.put.push(alert);
    }

    /// Notes that what follows rests on `alert` as it is.
    pub(super) fn rest_on(&mut self, alert: &Alert) {
        self.rests_on.push((alert.id.clone(), alert.updated_at));
    }

    /// One that is over: one that never fired goes without a trace.
    pub(super) fn end(&mut self, alert: &Alert, reason: ResolveReason, now: Timestamp) {
        match alert.status {
            Status::Pending => self.dropped.push(alert.id.clone()),
            Status::Firing => self.tell(alert.ended(reason, now)),
            Status::Resolved => {}
        }
    }

    /// Writes it into a transaction, and the events to `changes`, with which the caller commits.
    pub(super) async fn write(&self, app: &App, tx: &mut Tx, changes: &mut Changes) -> db::Result<()> {
        let Self { put, dropped, rests_on: _, tell } = self;
        queries::put(tx, put).await?;
        queries::delete(tx, dropped).await?;
        notify::enter(tx, &app.notify, &app.ids, app.clock.now(), tell).await?;
        for alert in put {
            changes.put_quietly(ALERTS, alert.id.0.clone(), alert);
        }
        for id in dropped {
            changes.delete_quietly(ALERTS, id.0.clone());
        }
        Ok(())
    }
}
