//! What a channel is.

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

/// Channels, for watchers who may read alerts.
pub const CHANNELS: Topic = Topic { name: "channels", scope: Some(Scope::AlertsRead) };

id! {
    /// A channel.
    ChannelId,
}

fn yes() -> bool {
    true
}

/// What is said of a channel when it is made or changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct ChannelSpec {
    /// Its name, as routes say it.
    pub name: String,
    /// The notifier plugin.
    pub notifier: String,
    /// The plugin's configuration; `GET /plugins/{name}` has its schema. It names secrets and holds none.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub config: Json<Map<String, Value>>,
    /// Whether anything is sent through it.
    #[serde(default = "yes")]
    pub enabled: bool,
}

impl ChannelSpec {
    /// What is wrong with it, as far as that is to be seen without its plugin.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::new();
        faults.name("/name", &self.name, 100);
        faults.name("/notifier", &self.notifier, 63);
        faults
    }

    /// The configuration as the plugin gets it.
    pub fn config_text(&self) -> String {
        serde_json::to_string(&*self.config).expect("a JSON object serialises")
    }
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Channel {
    /// Its key.
    #[serde(rename = "id")]
    pub channel_id: ChannelId,
    /// What was said of it.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub spec: ChannelSpec,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
