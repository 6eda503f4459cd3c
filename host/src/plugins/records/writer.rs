//! Keeping records: a queue that never waits, and the one task that empties it.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use tokio::sync::mpsc;

use super::{queries, types::NewRecord};
use crate::{app::App, db, plugins::Plugins};

/// Calls that may wait to be kept; what comes beyond is lost.
const WAITING: usize = 64;

/// Calls on their way to the database.
pub(in crate::plugins) struct Queue {
    offers: mpsc::Sender<NewRecord>,
    taken: Mutex<Option<mpsc::Receiver<NewRecord>>>,
}

impl Default for Queue {
    fn default() -> Self {
        let (offers, taken) = mpsc::channel(WAITING);
        Self { offers, taken: Mutex::new(Some(taken)) }
    }
}

impl Plugins {
    /// Offers a call to be kept. It never waits: what finds no room is lost, and told in the log.
    pub fn offer_record(&self, record: NewRecord) {
        if let Err(mpsc::error::TrySendError::Full(record)) = self.0.records.offers.try_send(record) {
            tracing::warn!(
                rule.id = record.rule_id,
                "a record of rule {} is lost: too many wait to be written",
                record.rule_id
            );
        }
    }
}

/// Writes what is offered, until every other task has ended.
pub(in crate::plugins) async fn write(app: App) {
    let taken = app.plugins.0.records.taken.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(mut taken) = taken else { return };
    let mut records = Vec::with_capacity(WAITING);
    while taken.recv_many(&mut records, WAITING).await > 0 {
        if let Err(error) = put(&app, &records).await {
            tracing::warn!(%error, "{} records are lost: the database did not take them", records.len());
        }
        records.clear();
    }
}

async fn put(app: &App, records: &[NewRecord]) -> db::Result<()> {
    // Nobody waits for the database because something is written out.
    let written: Vec<_> = records.iter().map(|record| (record, record.encode())).collect();
    let mut tx = app.db.write().await?;
    for (record, exchange) in &written {
        queries::put(&mut tx, &app.ids.next(), record, exchange).await?;
    }
    let rules: BTreeSet<&str> = records.iter().map(|record| record.rule_id.as_str()).collect();
    for rule in rules {
        queries::prune(&mut tx, rule).await?;
    }
    tx.commit().await
}
