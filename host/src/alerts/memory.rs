//! Rules and open alerts in memory, kept true from the feed, and how each rule fares.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::{
    queries,
    rules::{self, Health, RULES, Rule},
    types::{ALERTS, Alert, AlertId, RuleId},
};
use crate::{
    db::AsConn,
    feed::{Change, Feed},
    metrics::SeriesId,
    plugins::Plugins,
};

/// Open alerts of one rule.
pub type OpenAlerts = HashMap<SeriesId, Arc<Alert>>;

/// Rules and alerts. Clones share them.
#[derive(Clone, Default)]
pub struct Alerts(Arc<Shared>);

#[derive(Default)]
struct Shared {
    memory: RwLock<Memory>,
    /// What the evaluation on this replica remembers from one run to the next.
    schedule: tokio::sync::Mutex<super::worker::Schedule>,
}

#[derive(Default)]
struct Memory {
    rules: HashMap<RuleId, Arc<Rule>>,
    open: HashMap<RuleId, OpenAlerts>,
    /// To find an alert that is over by what the feed says of it: its key.
    places: HashMap<AlertId, (RuleId, SeriesId)>,
    health: HashMap<RuleId, Health>,
}

impl Alerts {
    /// Keeps itself true from the feed, and tells `plugins` which configurations are in use.
    pub fn new(feed: &Feed, plugins: &Plugins) -> Self {
        let own = Self::default();
        let (of_rules, of_alerts) = (own.clone(), own.clone());
        let plugins = plugins.clone();
        feed.on(RULES, move |change| of_rules.apply_rule(change, &plugins));
        feed.on(ALERTS, move |change| of_alerts.apply_alert(change));
        own
    }

    fn update(&self, change: impl FnOnce(&mut Memory)) {
        change(&mut self.0.memory.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn ask<T>(&self, question: impl FnOnce(&Memory) -> T) -> T {
        question(&self.0.memory.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn schedule(&self) -> &tokio::sync::Mutex<super::worker::Schedule> {
        &self.0.schedule
    }

    fn apply_rule(&self, change: &Change, plugins: &Plugins) {
        let id = RuleId::from(change.key.as_str());
        let rule = change.read::<Rule>();
        in_use(plugins, &id, rule.as_ref());
        self.update(|memory| match rule {
            Some(rule) => drop(memory.rules.insert(id, Arc::new(rule))),
            None => {
                memory.rules.remove(&id);
                memory.health.remove(&id);
            }
        });
    }

    fn apply_alert(&self, change: &Change) {
        let id = AlertId::from(change.key.as_str());
        self.update(|memory| {
            memory.forget(&id);
            if let Some(alert) = change.read::<Alert>().filter(|alert| !alert.resolved) {
                memory.add(alert);
            }
        });
    }

    /// Every rule, in no order.
    pub fn rules(&self) -> Vec<Arc<Rule>> {
        self.ask(|memory| memory.rules.values().cloned().collect())
    }

    /// A rule.
    pub fn rule(&self, id: &RuleId) -> Option<Arc<Rule>> {
        self.ask(|memory| memory.rules.get(id).cloned())
    }

    /// The open alerts of a rule.
    pub fn open(&self, rule: &RuleId) -> OpenAlerts {
        self.ask(|memory| memory.open.get(rule).cloned().unwrap_or_default())
    }

    /// The open alerts of every rule that has some.
    pub(super) fn all_open(&self) -> Vec<(RuleId, OpenAlerts)> {
        self.ask(|memory| memory.open.iter().map(|(rule, open)| (rule.clone(), open.clone())).collect())
    }

    /// How many alerts are open.
    pub fn open_count(&self) -> usize {
        self.ask(|memory| memory.places.len())
    }

    /// How a rule fared when this replica last looked.
    pub fn health(&self, rule: &RuleId) -> Option<Health> {
        self.ask(|memory| memory.health.get(rule).cloned())
    }

    pub(super) fn set_health(&self, rule: &RuleId, health: Health) {
        self.update(|memory| drop(memory.health.insert(rule.clone(), health)));
    }
}

impl Memory {
    fn add(&mut self, alert: Alert) {
        self.places.insert(alert.id.clone(), (alert.rule_id.clone(), alert.series));
        self.open.entry(alert.rule_id.clone()).or_default().insert(alert.series, Arc::new(alert));
    }

    fn forget(&mut self, id: &AlertId) {
        let Some((rule, series)) = self.places.remove(id) else { return };
        if let Some(open) = self.open.get_mut(&rule) {
            open.remove(&series);
            if open.is_empty() {
                self.open.remove(&rule);
            }
        }
    }
}

/// Fills memory from the database, as `on` sees it.
pub async fn load(on: &mut dyn AsConn, own: &Alerts, plugins: &Plugins) -> anyhow::Result<()> {
    let rules = rules::all(on).await?;
    let health = rules::all_health(on).await?;
    let open = queries::open(on).await?;
    rules.iter().for_each(|rule| in_use(plugins, &rule.rule_id, Some(rule)));
    own.update(|memory| {
        memory.rules = rules.into_iter().map(|rule| (rule.rule_id.clone(), Arc::new(rule))).collect();
        memory.health = health.into_iter().collect();
        open.into_iter().for_each(|alert| memory.add(alert));
    });
    Ok(())
}

fn in_use(plugins: &Plugins, id: &RuleId, rule: Option<&Rule>) {
    let used =
        rule.filter(|rule| !rule.spec.is_of_host()).map(|rule| (rule.spec.evaluator.as_str(), rule.spec.config_text()));
    plugins.note_use(&format!("rule:{id}"), used);
}
