//! What evaluates all rules in time: one replica at a time, by lease. Each rule has its own beat, which is the same on every replica
//! and after a start, so that no rule drifts; a rule that takes long holds up no other.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::{
    evaluation::{self, Evaluated, Recollection},
    queries,
    record::Record,
    rules::{self, Health, Rule},
    types::{ResolveReason, RuleId},
};
use crate::{
    app::App,
    clock::Timestamp,
    db::{self, lease},
    feed::{self, Changes},
};

/// The lease of the replica that evaluates.
const LEASE: &str = "alerts.evaluate";
const LEASE_LASTS: Duration = Duration::from_secs(15);
/// It is renewed when less than this is left of it.
const RENEW: Duration = Duration::from_secs(10);
/// How long one run waits for rules that take long; the next goes on with them.
const WAIT: Duration = Duration::from_millis(800);
/// How many rules are evaluated at a time.
const AT_ONCE: usize = 16;
/// How often it is written down that a rule fares as before.
const WRITE_HEALTH: Duration = Duration::from_secs(60);
/// How long what an evaluator remembers of a series that is gone is kept.
const KEEP_STATES: Duration = Duration::from_secs(7 * 24 * 3600);

/// What the evaluation on this replica remembers from one run to the next.
pub struct Schedule {
    /// Until when the lease is held, by `Clock::uptime`.
    held_until: Option<Duration>,
    rules: HashMap<RuleId, Beat>,
    /// Rules that are evaluated now, each as a task of its own: what one holds of the database, nobody waits for who should
    /// be moving it on.
    under_way: HashSet<RuleId>,
    tell: mpsc::UnboundedSender<(RuleId, Beat)>,
    done: mpsc::UnboundedReceiver<(RuleId, Beat)>,
}

impl Default for Schedule {
    fn default() -> Self {
        let (tell, done) = mpsc::unbounded_channel();
        Self { held_until: None, rules: HashMap::new(), under_way: HashSet::new(), tell, done }
    }
}

/// One rule's own.
#[derive(Default)]
struct Beat {
    /// The version of the rule that the rest belongs to.
    of: Option<Timestamp>,
    /// The last slot of its beat in which it was evaluated; absent when that came to nothing and is due again at once.
    slot: Option<i64>,
    recollection: Recollection,
    written: Option<(Timestamp, Option<String>)>,
}

/// Evaluates every rule whose time has come.
pub(super) async fn evaluate(app: &App) -> anyhow::Result<()> {
    let mut schedule = app.alerts.schedule().lock().await;
    let schedule = &mut *schedule;
    if !hold_lease(app, schedule).await? {
        return Ok(());
    }
    while let Ok(done) = schedule.done.try_recv() {
        schedule.end(done);
    }
    end_orphans(app).await?;
    let rules = app.alerts.rules();
    let there: HashSet<&RuleId> = rules.iter().map(|rule| &rule.rule_id).collect();
    schedule.rules.retain(|id, _| there.contains(id));
    let now = app.clock.now();
    let mut due: Vec<Arc<Rule>> = rules.iter().filter(|rule| schedule.is_due(rule, now)).cloned().collect();
    due.sort_by(|a, b| b.rule_id.cmp(&a.rule_id));
    let wait = app.clock.sleep(WAIT);
    tokio::pin!(wait);
    loop {
        while schedule.under_way.len() < AT_ONCE {
            let Some(rule) = due.pop() else { break };
            schedule.begin(app, rule, now);
        }
        if schedule.under_way.is_empty() {
            return Ok(());
        }
        tokio::select! {
            done = schedule.done.recv() => if let Some(done) = done {
                schedule.end(done);
            },
            () = &mut wait => return Ok(()),
        }
    }
}

/// Takes or renews the lease. What another replica may have done since is forgotten when it is taken anew.
async fn hold_lease(app: &App, schedule: &mut Schedule) -> anyhow::Result<bool> {
    let uptime = app.clock.uptime();
    if schedule.held_until.is_some_and(|until| until > uptime + RENEW) {
        return Ok(true);
    }
    let now = app.clock.now();
    let mut tx = app.db.write().await?;
    let held = lease::take(&mut tx, LEASE, &app.replica, now.plus(LEASE_LASTS), now).await?;
    tx.commit().await?;
    let anew = schedule.held_until.is_none_or(|until| until <= uptime);
    if !held || anew {
        *schedule = Schedule::default();
    }
    if held && anew {
        // It is not held before memory has what others did.
        feed::follow(&app.feed).await?;
    }
    schedule.held_until = held.then(|| uptime + LEASE_LASTS);
    Ok(held)
}

impl Schedule {
    fn is_due(&self, rule: &Rule, now: Timestamp) -> bool {
        let seen = self.rules.get(&rule.rule_id);
        rule.spec.enabled
            && !self.under_way.contains(&rule.rule_id)
            && seen.is_none_or(|beat| beat.of != Some(rule.updated_at) || beat.slot != Some(slot(rule, now)))
    }

    fn begin(&mut self, app: &App, rule: Arc<Rule>, now: Timestamp) {
        let mut beat = self.rules.remove(&rule.rule_id).unwrap_or_default();
        if beat.of != Some(rule.updated_at) {
            beat = Beat { of: Some(rule.updated_at), ..Beat::default() };
        }
        beat.slot = Some(slot(&rule, now));
        self.under_way.insert(rule.rule_id.clone());
        let (own, tell) = (app.clone(), self.tell.clone());
        app.tasks.detach("alerts.rule", async move {
            evaluate_one(&own, &rule, &mut beat).await;
            // Nobody listens when the lease was lost meanwhile.
            let _ = tell.send((rule.rule_id.clone(), beat));
        });
    }

    fn end(&mut self, (id, beat): (RuleId, Beat)) {
        self.under_way.remove(&id);
        self.rules.insert(id, beat);
    }
}

/// Which of a rule's beats a moment belongs to. Rules are spread over their interval by a hash of their key.
fn slot(rule: &Rule, at: Timestamp) -> i64 {
    let interval = (rule.spec.interval_seconds * 1000).max(1);
    let hash = Sha256::digest(rule.rule_id.as_str());
    let spread = i64::from(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])) % interval;
    (at.millis() - spread).div_euclid(interval)
}

async fn evaluate_one(app: &App, rule: &Rule, beat: &mut Beat) {
    let evaluated_at = app.clock.now();
    let last_error = match evaluation::run(app, rule, &mut beat.recollection).await {
        Ok(Evaluated::Done(message_fault)) => message_fault,
        Ok(Evaluated::Overtaken) => {
            beat.slot = None;
            return;
        }
        Err(fault) => {
            if fault.is_of_database() {
                beat.slot = None;
            }
            tracing::warn!(rule.id = %rule.rule_id, error = %fault, "could not evaluate rule {:?}: its alerts stay as they are", rule.spec.rule_name);
            Some(fault.to_string())
        }
    };
    let health = Health { last_evaluated_at: Some(evaluated_at), last_error };
    app.alerts.set_health(&rule.rule_id, health.clone());
    let as_before = beat
        .written
        .as_ref()
        .is_some_and(|(at, error)| *error == health.last_error && evaluated_at.since(*at) < WRITE_HEALTH);
    if as_before {
        return;
    }
    match write_health(app, rule, &health).await {
        Ok(()) => beat.written = Some((evaluated_at, health.last_error)),
        Err(error) => tracing::warn!(rule.id = %rule.rule_id, %error, "could not write down how a rule fares"),
    }
}

async fn write_health(app: &App, rule: &Rule, health: &Health) -> db::Result<()> {
    let mut tx = app.db.write().await?;
    // A rule that is gone has no health to write down.
    if queries::hold_rule(&mut tx, &rule.rule_id, rule.updated_at).await? {
        rules::put_health(&mut tx, &rule.rule_id, health).await?;
    }
    tx.commit().await
}

/// Ends the alerts of rules that are switched off or deleted.
async fn end_orphans(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    let mut record = Record::default();
    for (id, open) in app.alerts.all_open() {
        let reason = match app.alerts.rule(&id) {
            None => ResolveReason::RuleDeleted,
            Some(rule) if !rule.spec.enabled => ResolveReason::RuleDisabled,
            Some(_) => continue,
        };
        for alert in open.values() {
            record.rest_on(alert);
            record.end(alert, reason, now);
        }
    }
    if record.is_empty() {
        return Ok(());
    }
    let mut tx = app.db.write().await?;
    if !queries::are_as_expected(&mut tx, &record.rests_on).await? {
        return Ok(());
    }
    let mut changes = Changes::unaudited();
    record.write(app, &mut tx, &mut changes).await?;
    app.feed.commit(tx, changes).await?;
    Ok(())
}

/// Forgets alerts that are long over, and what evaluators remember of series that are gone.
pub(super) async fn prune(app: &App) -> anyhow::Result<()> {
    let now = app.clock.settled()?;
    let kept = Duration::from_secs(u64::from(app.settings.alerts.history_days) * 24 * 3600);
    let mut tx = app.db.write().await?;
    queries::prune(&mut tx, now.minus(kept)).await?;
    queries::forget_old_states(&mut tx, now.minus(KEEP_STATES)).await?;
    tx.commit().await?;
    Ok(())
}
