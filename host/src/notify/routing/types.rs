//! What a route is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    clock::Timestamp,
    db::Json,
    feed::Topic,
    http::{auth::Scope, error::Faults},
    id,
    notify::types::{Labels, Matchers, Told, is_label_name},
};

/// Routes, for watchers who may read alerts.
pub const ROUTES: Topic = Topic { name: "routes", scope: Some(Scope::AlertsRead) };

/// The longest pause that a route may ask for: a year.
const LONGEST_SECONDS: i64 = 366 * 24 * 3600;

id! {
    /// A route.
    RouteId,
}

fn group_wait() -> i64 {
    10
}

fn group_interval() -> i64 {
    60
}

fn repeat_interval() -> i64 {
    4 * 3600
}

/// What is said of a route when it is made or changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// Its name.
    pub name: String,
    /// Which alerts it takes; all of them when empty.
    #[serde(default, rename = "match")]
    #[sqlx(rename = "matchers")]
    #[schema(value_type = Matchers)]
    pub matchers: Json<Matchers>,
    /// Names of the channels that they go to.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 20)]
    pub channels: Json<Vec<String>>,
    /// Alerts that agree in these are told together: `severity`, `rule_name`, `service_id`, `service_name`, `service_type`, or labels.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 20)]
    pub group_by: Json<Vec<String>>,
    /// How long the first alert of a group waits for others.
    #[serde(default = "group_wait")]
    pub group_wait_seconds: i64,
    /// How long what is added to a group that was told of waits for others.
    #[serde(default = "group_interval")]
    pub group_interval_seconds: i64,
    /// How often a group that still fires and that nobody has acknowledged is told again.
    #[serde(default = "repeat_interval")]
    pub repeat_interval_seconds: i64,
    /// Whether routes after this one are tried for the same alert.
    #[serde(default, rename = "continue")]
    pub continues: bool,
    /// Its place in the order in which routes are tried; smaller is earlier, by name among equals.
    #[serde(default)]
    pub position: i64,
}

impl RouteSpec {
    /// What is wrong with it; `known` says whether there is a channel of a name.
    pub fn faults(&self, known: impl Fn(&str) -> bool) -> Faults {
        let mut faults = Faults::new();
        faults.name("/name", &self.name, 100);
        self.matchers.check(&mut faults, "/match");
        faults.check((1..=20).contains(&self.channels.len()), "/channels", || "must name 1 to 20 channels".to_owned());
        for (n, name) in self.channels.iter().enumerate() {
            faults.check(known(name), &format!("/channels/{n}"), || format!("there is no channel {name:?}"));
            faults.check(!self.channels[..n].contains(name), &format!("/channels/{n}"), || "is there twice".to_owned());
        }
        faults.check(self.group_by.len() <= 20, "/group_by", || "must have at most 20 entries".to_owned());
        for (n, key) in self.group_by.iter().enumerate() {
            faults.check(is_label_name(key), &format!("/group_by/{n}"), || format!("{key:?} is not a name of a label"));
        }
        let pauses = [
            ("/group_wait_seconds", self.group_wait_seconds, 0),
            ("/group_interval_seconds", self.group_interval_seconds, 1),
            ("/repeat_interval_seconds", self.repeat_interval_seconds, 1),
        ];
        for (pointer, seconds, least) in pauses {
            faults.check((least..=LONGEST_SECONDS).contains(&seconds), pointer, || {
                format!("must be {least} to {LONGEST_SECONDS}")
            });
        }
        faults.check((-1_000_000..=1_000_000).contains(&self.position), "/position", || {
            "must be -1000000 to 1000000".to_owned()
        });
        faults
    }

    /// What the alerts of this one's group have in common.
    pub fn group_of(&self, alert: &Told) -> Labels {
        self.group_by.iter().map(|key| (key.clone(), alert.get(key).to_owned())).collect()
    }
}

/// A route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Route {
    /// Its key.
    #[serde(rename = "id")]
    pub route_id: RouteId,
    /// What was said of it.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub spec: RouteSpec,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
