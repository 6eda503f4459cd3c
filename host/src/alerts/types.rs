//! What an alert is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    clock::Timestamp,
    db::Json,
    feed::Topic,
    http::auth::Scope,
    id,
    ids::ServiceId,
    metrics::SeriesId,
    notify::{AlertStatus, By, Labels, Severity, Told},
    text_enum,
};

/// Alerts, for watchers who may read them.
pub const ALERTS: Topic = Topic { name: "alerts", scope: Some(Scope::AlertsRead) };

id! {
    /// An alert.
    AlertId,
    /// A rule.
    RuleId,
}

text_enum! {
    /// How far an alert has come.
    pub enum Status {
        /// The rule is breached, but not for long enough yet.
        Pending = "pending",
        /// It fires.
        Firing = "firing",
        /// It is over.
        Resolved = "resolved",
    }
}

text_enum! {
    /// Why an alert is over.
    pub enum ResolveReason {
        /// The rule is not breached any more.
        Normal = "normal",
        /// The series has had no points for too long.
        NoData = "no data",
        /// Somebody said so.
        Manual = "manual",
        /// Its rule was switched off.
        RuleDisabled = "rule disabled",
        /// Its rule was deleted.
        RuleDeleted = "rule deleted",
        /// Its rule watches something else now.
        RuleChanged = "rule changed",
    }
}

/// What came of a rule for one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Alert {
    /// Its key.
    pub id: AlertId,
    /// The rule.
    pub rule_id: RuleId,
    /// The rule's name when this began.
    pub rule_name: String,
    /// The number of the series.
    pub series: SeriesId,
    /// Of which service.
    pub service_id: ServiceId,
    /// That service's name when this began.
    pub service_name: String,
    /// That service's type when this began.
    pub service_type: String,
    /// Of which metric.
    pub metric_name: String,
    /// How bad it is.
    pub alert_level: Severity,
    /// How far it has come.
    pub status: Status,
    /// The rule's message for it.
    pub message: String,
    /// The value at the last change.
    pub value: Option<f64>,
    /// Tags of the series and labels of the rule.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub labels: Json<Labels>,
    /// When it began to fire; absent while it is pending.
    pub fired_at: Option<Timestamp>,
    /// Since when the rule is not breached any more, while it is kept firing.
    pub clear_since: Option<Timestamp>,
    /// Whether it is over.
    pub resolved: bool,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// Why it is over.
    pub resolve_reason: Option<ResolveReason>,
    /// Who takes care of it.
    pub acknowledged_by: Option<String>,
    /// Since when.
    pub acknowledged_at: Option<Timestamp>,
    /// Exactly which plugin judged it last.
    #[schema(value_type = By)]
    pub plugin: Json<By>,
    /// When the rule was first breached.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Alert {
    /// As people are told of it; not while it is pending.
    pub fn told(&self) -> Told {
        Told {
            id: self.id.0.clone(),
            rule: self.rule_name.clone(),
            status: if self.resolved { AlertStatus::Resolved } else { AlertStatus::Firing },
            severity: self.alert_level,
            service_id: self.service_id.0.clone(),
            service_name: self.service_name.clone(),
            service_type: self.service_type.clone(),
            labels: self.labels.0.clone(),
            value: self.value,
            message: self.message.clone(),
            started_at: self.fired_at.unwrap_or(self.created_at),
            ended_at: self.resolved_at,
        }
    }

    /// The same, over.
    pub fn ended(&self, reason: ResolveReason, now: Timestamp) -> Self {
        Self {
            status: Status::Resolved,
            resolved: true,
            resolved_at: Some(now),
            resolve_reason: Some(reason),
            clear_since: None,
            updated_at: now,
            ..self.clone()
        }
    }
}

/// An alert as it is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AlertShown {
    /// The alert.
    #[serde(flatten)]
    pub alert: Alert,
    /// Whether a silence keeps it from being told now.
    pub silenced: bool,
}
