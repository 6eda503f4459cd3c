//! What a notification on its way is: a row of the delivery log.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    clock::Timestamp,
    db::Json,
    notify::{
        channels::{Channel, ChannelId},
        types::{AlertStatus, By, Labels, Told},
    },
    text_enum,
};

text_enum! {
    /// What became of a notification.
    pub enum DeliveryStatus {
        /// It waits for its next attempt, or one is under way.
        Queued = "queued",
        /// The channel took it.
        Delivered = "delivered",
        /// It was given up.
        Failed = "failed",
        /// Its channel is switched off.
        Skipped = "skipped",
        /// No route takes the alert, so nothing was sent.
        Unrouted = "unrouted",
    }
}

/// What a channel answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Answered {
    /// What the channel calls it.
    pub remote_id: Option<String>,
    /// In the notifier's words.
    pub detail: String,
}

/// One notification through one channel, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Delivery {
    /// Its key; the same for each attempt, so that whoever gets it can tell.
    pub id: String,
    /// The channel's key; absent when no route takes the alert.
    pub channel_id: Option<ChannelId>,
    /// The channel's name.
    pub channel: Option<String>,
    /// The name of the route that brought it here; absent for a test.
    pub route: Option<String>,
    /// The group that it tells of.
    #[serde(skip)]
    pub group_id: Option<String>,
    /// What became of it.
    pub status: DeliveryStatus,
    /// Whether it says that something fires, or that it is over.
    pub alert_status: AlertStatus,
    /// Its title.
    pub title: String,
    /// What its alerts have in common.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    #[sqlx(rename = "group_labels")]
    pub group: Json<Labels>,
    /// Its alerts.
    #[schema(value_type = Vec<Told>)]
    pub alerts: Json<Vec<Told>>,
    /// How often it was tried.
    pub attempt: i64,
    /// When it is tried next, while it is queued.
    pub next_attempt_at: Option<Timestamp>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// What the channel answered.
    #[schema(value_type = Option<Answered>)]
    pub receipt: Option<Json<Answered>>,
    /// Which plugin delivered it.
    #[schema(value_type = Option<By>)]
    pub plugin: Option<Json<By>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When the channel took it.
    pub delivered_at: Option<Timestamp>,
}

impl Delivery {
    /// One through a channel; what is left open is for the caller to fill.
    pub fn through(id: String, name: &str, to: Option<Arc<Channel>>, alerts: Vec<Told>, now: Timestamp) -> Self {
        let (status, last_error) = match &to {
            None => (DeliveryStatus::Failed, Some(format!("there is no channel {name:?}"))),
            Some(channel) if channel.spec.enabled => (DeliveryStatus::Queued, None),
            Some(_) => (DeliveryStatus::Skipped, Some("the channel is switched off".to_owned())),
        };
        Self {
            id,
            channel_id: to.map(|channel| channel.channel_id.clone()),
            channel: Some(name.to_owned()),
            route: None,
            group_id: None,
            status,
            alert_status: AlertStatus::Firing,
            title: String::new(),
            group: Json::default(),
            alerts: Json(alerts),
            attempt: 0,
            next_attempt_at: (status == DeliveryStatus::Queued).then_some(now),
            last_error,
            receipt: None,
            plugin: None,
            created_at: now,
            updated_at: now,
            delivered_at: None,
        }
    }

    /// What the log says of an alert that no route takes.
    pub fn unrouted(id: String, alert: Told, now: Timestamp) -> Self {
        Self {
            channel: None,
            status: DeliveryStatus::Unrouted,
            title: format!("[FIRING:1] {}", alert.rule),
            last_error: Some("no route takes this alert".to_owned()),
            ..Self::through(id, "", None, vec![alert], now)
        }
    }
}
