//! What a rule is.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::{
    alerts::{
        evaluation::{Condition, HOST},
        machine::Timing,
        message,
        types::RuleId,
    },
    clock::Timestamp,
    db::Json,
    feed::Topic,
    http::{auth::Scope, error::Faults},
    notify::{Labels, Severity, check_labels},
    text_enum,
};

/// Rules, for watchers who may read alerts.
pub const RULES: Topic = Topic { name: "alert-rules", scope: Some(Scope::AlertsRead) };

/// The evaluator of a rule that names none, and the one whose configuration has a short form.
pub const THRESHOLD: &str = "threshold";

/// The longest time that a rule may ask for: a year.
const LONGEST_SECONDS: i64 = 366 * 24 * 3600;
/// The most calls to its evaluator that a rule may keep.
const MOST_RECORDS: i64 = 1000;
/// Alerts never end for want of points before so many intervals have passed, and this time.
const NO_DATA_INTERVALS: i64 = 5;
const NO_DATA_LEAST: Duration = Duration::from_secs(300);

text_enum! {
    /// How a value is compared with a threshold.
    pub enum Comparison {
        /// Above.
        Above = ">",
        /// Below.
        Below = "<",
        /// At or above.
        AtLeast = ">=",
        /// At or below.
        AtMost = "<=",
        /// The same.
        Equal = "==",
        /// Not the same.
        Differs = "!=",
    }
}

fn yes() -> bool {
    true
}

fn interval() -> i64 {
    10
}

fn threshold() -> String {
    THRESHOLD.to_owned()
}

fn message() -> String {
    message::DEFAULT.to_owned()
}

/// What is said of a rule when it is made or changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// Its name; no two rules have the same.
    pub rule_name: String,
    /// Only services of this type; all when absent.
    #[serde(default)]
    pub service_type: Option<String>,
    /// The metric that is watched.
    pub metric_name: String,
    /// Short for `config.comparison_operator` of the evaluator `threshold`.
    #[serde(default)]
    pub comparison_operator: Option<Comparison>,
    /// Short for `config.threshold_value` of the evaluator `threshold`.
    #[serde(default)]
    pub threshold_value: Option<f64>,
    /// How bad a breach is, unless the evaluator says so itself.
    pub severity: Severity,
    /// Whether it is evaluated.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How often it is evaluated, 1 to 86400.
    #[serde(default = "interval")]
    pub interval_seconds: i64,
    /// How long a breach must last before it fires.
    #[serde(default)]
    pub for_seconds: i64,
    /// How long it must be over before the alert ends.
    #[serde(default)]
    pub keep_firing_seconds: i64,
    /// The plugin that judges; or `host`, which says what Looma sees of itself, by `metric_name`: `plugin_quarantined`,
    /// `registry_protected`.
    #[serde(default = "threshold")]
    pub evaluator: String,
    /// The plugin's configuration; `GET /plugins/{name}` has its schema.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub config: Json<Map<String, Value>>,
    /// Labels that its alerts get beside the tags of their series.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub labels: Json<Labels>,
    /// The message of its alerts, a template: `service_id`, `service_name`, `service_type`, `rule_name`, `metric_name`, `value`,
    /// `unit`, `threshold`, `labels`, `severity`, `status`, `note`.
    #[serde(default = "message")]
    pub message: String,
    /// How many of the latest calls to its evaluator are kept, 0 to 1000, so that other versions can be run on them. A call has at
    /// most a thousand series; one that is larger than 1 MiB is noted and not kept, and all of a rule at most 64 MiB.
    #[serde(default)]
    pub record: i64,
}

impl RuleSpec {
    /// What is wrong with it, as far as that is to be seen without its plugin.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::new();
        faults.name("/rule_name", &self.rule_name, 200);
        faults.name("/metric_name", &self.metric_name, 100);
        faults.name("/evaluator", &self.evaluator, 63);
        if let Some(of) = &self.service_type {
            faults.name("/service_type", of, 50);
        }
        let numbers = [
            ("/interval_seconds", self.interval_seconds, 1, 86_400),
            ("/for_seconds", self.for_seconds, 0, LONGEST_SECONDS),
            ("/keep_firing_seconds", self.keep_firing_seconds, 0, LONGEST_SECONDS),
            ("/record", self.record, 0, MOST_RECORDS),
        ];
        for (pointer, value, least, most) in numbers {
            faults.check((least..=most).contains(&value), pointer, || format!("must be {least} to {most}"));
        }
        check_labels(&mut faults, "/labels", &self.labels);
        faults.text("/message", &self.message, 4000);
        if let Err(why) = message::check(&self.message) {
            faults.add("/message", format!("is no template: {why}"));
        }
        self.check_short_form(&mut faults);
        if self.is_of_host() {
            self.check_of_host(&mut faults);
        }
        faults
    }

    /// Whether the host judges, and no plugin.
    pub fn is_of_host(&self) -> bool {
        self.evaluator == HOST
    }

    fn check_of_host(&self, faults: &mut Faults) {
        faults.check(self.metric_name.parse::<Condition>().is_ok(), "/metric_name", || {
            let known: Vec<String> = Condition::ALL.iter().map(|known| format!("{:?}", known.as_str())).collect();
            format!("is nothing that the evaluator {HOST} knows, expected one of {}", known.join(", "))
        });
        faults.check(self.service_type.is_none(), "/service_type", || format!("is not for the evaluator {HOST}"));
        faults.check(self.config.is_empty(), "/config", || format!("must be empty: the evaluator {HOST} has none"));
    }

    fn check_short_form(&self, faults: &mut Faults) {
        for (key, value) in self.short_form() {
            let pointer = format!("/{key}");
            if self.evaluator != THRESHOLD {
                faults.add(pointer, format!("belongs to the evaluator {THRESHOLD}: put it into config"));
            } else if self.config.get(key).is_some_and(|said| *said != value) {
                faults.add(pointer, "says something else than config does");
            }
        }
    }

    fn short_form(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let operator = self.comparison_operator.map(|operator| ("comparison_operator", json!(operator)));
        operator.into_iter().chain(self.threshold_value.map(|value| ("threshold_value", json!(value))))
    }

    /// The configuration as the plugin gets it: with the short form in it.
    pub fn config_text(&self) -> String {
        let mut config = self.config.0.clone();
        if self.evaluator == THRESHOLD {
            config.extend(self.short_form().map(|(key, value)| (key.to_owned(), value)));
        }
        serde_json::to_string(&config).expect("a JSON object serialises")
    }

    /// The threshold that messages may name.
    pub fn threshold(&self) -> Option<f64> {
        self.threshold_value.or_else(|| self.config.get("threshold_value")?.as_f64())
    }

    /// How long breaches and their ends must last.
    pub fn timing(&self) -> Timing {
        let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        Timing { hold: seconds(self.for_seconds), keep: seconds(self.keep_firing_seconds) }
    }

    /// How long a series may have no points before its alert ends for that: five intervals, and at least five minutes.
    pub fn patience(&self) -> Duration {
        let intervals = u64::try_from(self.interval_seconds * NO_DATA_INTERVALS).unwrap_or(0);
        Duration::from_secs(intervals).max(NO_DATA_LEAST)
    }

    /// Whether it watches the same series as another, so that alerts of one can be judged by the other.
    pub fn watches_the_same(&self, other: &Self) -> bool {
        self.metric_name == other.metric_name && self.service_type == other.service_type
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Rule {
    /// Its key.
    pub rule_id: RuleId,
    /// What was said of it.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub spec: RuleSpec,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// How the last evaluation of a rule went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Health {
    /// When it was last evaluated; may be up to a minute old when another replica does it.
    pub last_evaluated_at: Option<Timestamp>,
    /// What went wrong then. While it does, its alerts stay as they are.
    pub last_error: Option<String>,
}

/// A rule as it is shown. Its `ETag` names what was said of it, not how it fares.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RuleShown {
    /// The rule.
    #[serde(flatten)]
    pub rule: Rule,
    /// How it fares.
    #[serde(flatten)]
    pub health: Health,
}
