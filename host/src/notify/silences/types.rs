//! What a silence is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    clock::Timestamp,
    db::Json,
    feed::Topic,
    http::{auth::Scope, error::Faults},
    id,
    notify::types::{Matchers, Told},
};

/// Silences, for watchers who may read alerts.
pub const SILENCES: Topic = Topic { name: "silences", scope: Some(Scope::AlertsRead) };

id! {
    /// A silence.
    SilenceId,
}

/// What is said of a silence when it is made or changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct SilenceSpec {
    /// Which alerts are not told; at least one key.
    #[serde(rename = "match")]
    #[sqlx(rename = "matchers")]
    #[schema(value_type = Matchers)]
    pub matchers: Json<Matchers>,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when; not at this moment any more.
    pub ends_at: Timestamp,
    /// Why.
    #[serde(default)]
    pub comment: String,
}

impl SilenceSpec {
    /// What is wrong with it.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::new();
        self.matchers.check(&mut faults, "/match");
        let all = || "must name something: a silence for every alert is more than anybody means".to_owned();
        faults.check(!self.matchers.0.0.is_empty(), "/match", all);
        faults.check(self.ends_at > self.starts_at, "/ends_at", || "must be after starts_at".to_owned());
        faults.text("/comment", &self.comment, 1000);
        faults
    }
}

/// A silence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Silence {
    /// Its key.
    #[serde(rename = "id")]
    pub silence_id: SilenceId,
    /// What was said of it.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub spec: SilenceSpec,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Silence {
    /// Whether the alert is not to be told now.
    pub fn covers(&self, alert: &Told, now: Timestamp) -> bool {
        self.spec.starts_at <= now && now < self.spec.ends_at && self.spec.matchers.match_alert(alert)
    }
}
