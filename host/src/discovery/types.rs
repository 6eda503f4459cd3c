//! What a discovery source is, and what came of a run of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    clock::Timestamp,
    db::Json,
    feed::Topic,
    http::{auth::Scope, error::Faults},
    id,
};

/// Sources.
pub const SOURCES: Topic = Topic { name: "discovery-sources", scope: Some(Scope::ServicesRead) };

id! {
    /// A discovery source.
    SourceId,
}

/// A discovery plugin with a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Source {
    /// Its key.
    pub source_id: SourceId,
    /// Its name; services that it finds have the origin `source:NAME`.
    pub name: String,
    /// The plugin.
    pub strategy: String,
    /// What the plugin is told.
    #[schema(value_type = Object)]
    pub config: Json<Map<String, Value>>,
    /// How often it runs.
    pub interval_seconds: i64,
    /// Whether it runs by itself.
    pub enabled: bool,
    /// A run that would take away a larger share of what it found before takes nothing away.
    pub max_removed_share: f64,
    /// When it last ran.
    pub last_run_at: Option<Timestamp>,
    /// What came of that.
    #[schema(value_type = Option<Outcome>)]
    pub last_outcome: Option<Json<Outcome>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Source {
    /// The configuration as the plugin gets it.
    pub fn config_text(&self) -> String {
        serde_json::Value::from(self.config.0.clone()).to_string()
    }

    /// How often it runs.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.interval_seconds).unwrap_or(1))
    }

    /// What was said of it, without what came of runs: what its `ETag` names.
    pub fn said(&self) -> Self {
        Self { last_run_at: None, last_outcome: None, ..self.clone() }
    }
}

/// What a caller says of a source.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceBody {
    /// Its name.
    pub name: String,
    /// The plugin, of kind `discovery-strategy`.
    pub strategy: String,
    /// What the plugin is told.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
    /// How often it runs, 1 to 86400.
    #[serde(default = "half_a_minute")]
    pub interval_seconds: i64,
    /// Whether it runs by itself.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// 0 to 1: a run that would take away a larger share of what it found before takes nothing away.
    #[serde(default = "half")]
    pub max_removed_share: f64,
}

fn half_a_minute() -> i64 {
    30
}

fn yes() -> bool {
    true
}

fn half() -> f64 {
    0.5
}

impl SourceBody {
    /// The part of a source that a caller may change.
    pub fn of(source: &Source) -> Self {
        Self {
            name: source.name.clone(),
            strategy: source.strategy.clone(),
            config: source.config.0.clone(),
            interval_seconds: source.interval_seconds,
            enabled: source.enabled,
            max_removed_share: source.max_removed_share,
        }
    }

    /// The source that it describes, made at `now` and never run.
    pub fn source(self, source_id: SourceId, now: Timestamp) -> Source {
        let Self { name, strategy, config, interval_seconds, enabled, max_removed_share } = self;
        Source {
            source_id,
            name,
            strategy,
            config: Json(config),
            interval_seconds,
            enabled,
            max_removed_share,
            last_run_at: None,
            last_outcome: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// What is wrong with it, before the plugin is asked.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::new();
        faults.name("/name", &self.name, 100);
        faults.name("/strategy", &self.strategy, 63);
        faults.check((1..=86_400).contains(&self.interval_seconds), "/interval_seconds", || {
            "must be 1 to 86400".to_owned()
        });
        faults
            .check((0.0..=1.0).contains(&self.max_removed_share), "/max_removed_share", || "must be 0 to 1".to_owned());
        faults
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// Why it failed, if it did; nothing was taken away then.
    pub error: Option<String>,
    /// How many services the plugin found.
    pub found: usize,
    /// How many of them were new.
    pub registered: usize,
    /// How many had changed.
    pub updated: usize,
    /// How many that were found before are gone, and were taken away.
    pub removed: usize,
    /// Why nothing was taken away, if the guard held.
    pub guarded: Option<String>,
    /// Services that somebody else registered: left as they are. At most 20 are named.
    pub conflicts: Vec<String>,
    /// How many such there were.
    pub conflict_count: usize,
    /// Which plugin judged: name, version and digest.
    #[serde(default)]
    pub plugin: Option<String>,
}
