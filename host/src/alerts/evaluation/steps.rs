//! From what an evaluator says to what becomes of alerts: one step of the state machine for each series.

use std::{collections::HashMap, sync::Arc};

use super::judge::{Judged, Judgement};
use crate::{
    alerts::{
        machine::{Phase, Verdict, step},
        memory::OpenAlerts,
        message::{self, Facts},
        record::Record,
        rules::Rule,
        types::{Alert, AlertId, ResolveReason, Status},
    },
    app::App,
    clock::Timestamp,
    db::Json,
    metrics::SeriesId,
    notify::{Labels, Severity},
};

/// For which rule, and when.
pub(super) struct Steps<'a> {
    pub app: &'a App,
    pub rule: &'a Rule,
    pub now: Timestamp,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Outcome {
    pub record: Record,
    /// A message that could not be filled in: which fault, the first of them.
    pub message_fault: Option<String>,
}

impl Steps<'_> {
    /// Takes every series a step, and ends alerts whose series has had no points for too long.
    pub(super) fn take(
        &self,
        judged: &Judged,
        open: &OpenAlerts,
        missing: &mut HashMap<SeriesId, Timestamp>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut seen = 0;
        for judgement in &judged.judgements {
            let alert = open.get(&judgement.series.series_id);
            seen += usize::from(alert.is_some());
            self.take_one(judgement, alert, &mut outcome);
        }
        seen += judged.unjudged.iter().filter(|series| open.contains_key(&series.series_id)).count();
        match seen == open.len() {
            true => missing.clear(),
            false => self.end_missing(judged, open, missing, &mut outcome),
        }
        outcome
    }

    fn take_one(&self, judgement: &Judgement, alert: Option<&Arc<Alert>>, outcome: &mut Outcome) {
        let before = phase_of(alert);
        let after = step(before, judgement.verdict, self.now, self.rule.spec.timing());
        if let Some(alert) = alert {
            outcome.record.rest_on(alert);
            if judgement.verdict == Verdict::Unknown && self.is_silent(judgement) {
                return outcome.record.end(alert, ResolveReason::NoData, self.now);
            }
        }
        if before == after {
            if alert.is_some() {
                outcome.record.rests_on.pop();
            }
            return;
        }
        match (alert, after) {
            (None, Phase::Normal) => {}
            (None, Phase::Pending { level, .. }) => {
                let alert = self.make(judgement, level, Status::Pending, outcome);
                outcome.record.keep(alert);
            }
            (None, Phase::Firing { level, .. }) => {
                let alert = self.make(judgement, level, Status::Firing, outcome);
                outcome.record.tell(alert);
            }
            (Some(alert), Phase::Normal) => {
                let alert = Alert { value: judgement.value, ..(**alert).clone() };
                outcome.record.end(&alert, ResolveReason::Normal, self.now);
            }
            (Some(alert), Phase::Pending { level, .. }) => {
                let alert = self.change(alert, judgement, level, Status::Pending, outcome);
                outcome.record.keep(alert);
            }
            (Some(alert), Phase::Firing { level, clear_since })
                if clear_since != alert.clear_since && is_level(alert, level) =>
            {
                outcome.record.keep(Alert { clear_since, updated_at: self.now, ..(**alert).clone() });
            }
            (Some(alert), Phase::Firing { level, .. }) => {
                let alert = self.change(alert, judgement, level, Status::Firing, outcome);
                outcome.record.tell(alert);
            }
        }
    }

    /// Whether the last point of a series is older than the rule's patience.
    fn is_silent(&self, judgement: &Judgement) -> bool {
        judgement.series.newest() < self.now.minus(self.rule.spec.patience()).millis()
    }

    fn end_missing(
        &self,
        judged: &Judged,
        open: &OpenAlerts,
        missing: &mut HashMap<SeriesId, Timestamp>,
        outcome: &mut Outcome,
    ) {
        let there = judged.judgements.iter().map(|judgement| &judgement.series).chain(&judged.unjudged);
        let there: std::collections::HashSet<SeriesId> = there.map(|series| series.series_id).collect();
        missing.retain(|series, _| open.contains_key(series) && !there.contains(series));
        for (series, alert) in open.iter().filter(|(series, _)| !there.contains(series)) {
            let since = *missing.entry(*series).or_insert(self.now);
            let spec = &self.rule.spec;
            let watched = alert.metric_name == spec.metric_name
                && spec.service_type.as_ref().is_none_or(|of| *of == alert.service_type);
            let reason = match watched {
                false => ResolveReason::RuleChanged,
                true if self.now.since(since) >= spec.patience() => ResolveReason::NoData,
                true => continue,
            };
            outcome.record.rest_on(alert);
            outcome.record.end(alert, reason, self.now);
        }
    }

    fn make(&self, judgement: &Judgement, level: Severity, status: Status, outcome: &mut Outcome) -> Alert {
        let Judgement { series, value, by, .. } = judgement;
        let service = self.app.registry.service(&series.service_id);
        let (service_name, service_type) =
            service.map(|service| (service.service_name.clone(), service.service_type.clone())).unwrap_or_default();
        let mut labels: Labels = series.tags.clone();
        labels.extend(self.rule.spec.labels.0.clone());
        let mut alert = Alert {
            id: AlertId(self.app.ids.next()),
            rule_id: self.rule.rule_id.clone(),
            rule_name: self.rule.spec.rule_name.clone(),
            series: series.series_id,
            service_id: series.service_id.clone(),
            service_name,
            service_type,
            metric_name: series.metric_name.clone(),
            alert_level: level,
            status,
            message: String::new(),
            value: *value,
            labels: Json(labels),
            fired_at: (status == Status::Firing).then_some(self.now),
            clear_since: None,
            resolved: false,
            resolved_at: None,
            resolve_reason: None,
            acknowledged_by: None,
            acknowledged_at: None,
            plugin: Json((**by).clone()),
            created_at: self.now,
            updated_at: self.now,
        };
        alert.message = self.message(&alert, judgement, outcome);
        alert
    }

    fn change(
        &self,
        alert: &Alert,
        judgement: &Judgement,
        alert_level: Severity,
        status: Status,
        outcome: &mut Outcome,
    ) -> Alert {
        let fires = status == Status::Firing;
        let mut alert = Alert {
            alert_level,
            status,
            value: judgement.value,
            fired_at: alert.fired_at.or_else(|| fires.then_some(self.now)),
            clear_since: None,
            plugin: Json((*judgement.by).clone()),
            updated_at: self.now,
            ..alert.clone()
        };
        alert.message = self.message(&alert, judgement, outcome);
        alert
    }

    fn message(&self, alert: &Alert, judgement: &Judgement, outcome: &mut Outcome) -> String {
        let unit = judgement.series.unit().unwrap_or_default();
        let facts = Facts {
            service_id: alert.service_id.as_str(),
            service_name: &alert.service_name,
            service_type: &alert.service_type,
            rule_name: &alert.rule_name,
            metric_name: &alert.metric_name,
            value: alert.value,
            unit: &unit,
            threshold: self.rule.spec.threshold(),
            labels: &alert.labels,
            severity: alert.alert_level,
            status: alert.status.as_str(),
            note: judgement.note.as_deref().unwrap_or(""),
        };
        match message::render(&self.rule.spec.message, &facts) {
            Ok(message) => message,
            Err((fault, plain)) => {
                outcome.message_fault.get_or_insert(format!("could not fill in the message: {fault}"));
                plain
            }
        }
    }
}

fn is_level(alert: &Alert, level: Severity) -> bool {
    alert.alert_level == level
}

fn phase_of(alert: Option<&Arc<Alert>>) -> Phase {
    match alert {
        None => Phase::Normal,
        Some(alert) => match alert.status {
            Status::Pending => Phase::Pending { since: alert.created_at, level: alert.alert_level },
            Status::Firing => Phase::Firing { level: alert.alert_level, clear_since: alert.clear_since },
            Status::Resolved => Phase::Normal,
        },
    }
}
