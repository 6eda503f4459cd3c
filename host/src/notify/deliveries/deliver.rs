//! What delivers: claims notifications that are due, hands them to their notifiers, and writes what came of it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use super::{
    queries::{self, Claim, Outcome},
    types::{Answered, Delivery, DeliveryStatus},
};
use crate::{
    app::App,
    clock::Timestamp,
    db, feed,
    notify::{
        channels::{Channel, ChannelId},
        groups,
        types::{AlertStatus, By, Labels, Severity, Told},
    },
    plugins::{self, CallError, Notification, PluginName},
    settings,
};

/// How many attempts run at a time.
const AT_ONCE: usize = 32;
/// How many of them through one channel, about: a slow channel must not hold up the others.
const A_CHANNEL: usize = 4;
/// How long a claim lasts: longer than an attempt may, which is to wait for its turn and then to run, up to the longest deadline
/// that can be granted each. Those of a replica that is gone are freed long before.
const CLAIM: Duration = Duration::from_secs(660);
/// The pause before what came of an attempt is written again, when it could not be.
const SETTLE_AGAIN: Duration = Duration::from_secs(1);
/// A replica that has not been seen for this long has lost its claims.
const ALIVE: Duration = Duration::from_secs(20);
/// How often new work is looked for while attempts run.
const LOOK: Duration = Duration::from_millis(250);
/// The longest pause that a channel can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// Tells groups whose time has come, and delivers everything that is due. Each attempt is a task of its own: what this loop waits
/// for takes no time from a notifier, and what an attempt came to is not lost with this loop.
pub async fn run(app: &App) -> anyhow::Result<()> {
    let (tell, mut done) = mpsc::unbounded_channel();
    let mut running: usize = 0;
    let mut busy: HashMap<ChannelId, usize> = HashMap::new();
    let mut fault = None;
    loop {
        let stopping = app.tasks.stopping().now_or_never().is_some();
        while fault.is_none() && !stopping && running < AT_ONCE {
            match claimed(app, &busy).await {
                Ok(claimed) if claimed.is_empty() => break,
                Ok(claimed) => {
                    for delivery in claimed {
                        *busy.entry(channel_of(&delivery)).or_default() += 1;
                        running += 1;
                        begin(app, delivery, tell.clone());
                    }
                }
                // What runs is brought to its end first.
                Err(error) => fault = Some(error),
            }
        }
        if running == 0 {
            return fault.map_or(Ok(()), |error| Err(error.into()));
        }
        tokio::select! {
            ended = done.recv() => if let Some(channel) = ended {
                running -= 1;
                busy.entry(channel).and_modify(|n| *n = n.saturating_sub(1));
            },
            () = app.clock.sleep(LOOK) => {}
        }
    }
}

/// Attempts a delivery and writes what came of it, as a task; then tells through which channel that was.
fn begin(app: &App, delivery: Delivery, tell: mpsc::UnboundedSender<ChannelId>) {
    let own = app.clone();
    app.tasks.detach("notify.attempt", async move {
        let channel = channel_of(&delivery);
        let outcome = attempt(&own, &delivery).await;
        while let Err(error) = settle(&own, &delivery, &outcome).await {
            tracing::error!(notification.id = %delivery.id, %error, "could not write what came of a notification: trying again");
            if own.tasks.stopping().now_or_never().is_some() {
                break;
            }
            own.clock.sleep(SETTLE_AGAIN).await;
        }
        // Nobody listens when the loop has ended.
        let _ = tell.send(channel);
    });
}

fn channel_of(delivery: &Delivery) -> ChannelId {
    delivery.channel_id.clone().unwrap_or_else(|| ChannelId(String::new()))
}

/// Frees what replicas had claimed that are gone.
pub async fn release(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.write().await?;
    let freed = queries::release(&mut tx, now, now.minus(ALIVE)).await?;
    tx.commit().await?;
    if freed > 0 {
        tracing::warn!(freed, "a replica went away while it delivered {freed} notifications: they are tried again");
    }
    Ok(())
}

async fn claimed(app: &App, busy: &HashMap<ChannelId, usize>) -> db::Result<Vec<Delivery>> {
    groups::flush(app).await?;
    let now = app.clock.now();
    if !queries::any_due(&mut app.db.read().await?, now).await? {
        return Ok(Vec::new());
    }
    let full: Vec<ChannelId> = busy.iter().filter(|(_, n)| **n >= A_CHANNEL).map(|(id, _)| id.clone()).collect();
    let claim = Claim { by: &app.replica, now, until: now.plus(CLAIM) };
    let mut tx = app.db.write().await?;
    let limit = i64::try_from(A_CHANNEL).unwrap_or(1);
    let claimed = queries::claim(&mut tx, &claim, limit, &full).await?;
    tx.commit().await?;
    Ok(claimed)
}

async fn attempt(app: &App, delivery: &Delivery) -> Outcome {
    let find = || delivery.channel_id.as_ref().and_then(|id| app.notify.channel(id.as_str()));
    let mut channel = find();
    if channel.is_none() && feed::follow(&app.feed).await.is_ok() {
        // Another replica may have made it just now.
        channel = find();
    }
    match channel {
        None => given_up("the channel is gone".to_owned()),
        Some(channel) if !channel.spec.enabled => {
            Outcome { status: DeliveryStatus::Skipped, ..given_up("the channel is switched off".to_owned()) }
        }
        Some(channel) => judge(app, delivery, send(app, &channel, delivery).await),
    }
}

fn given_up(error: String) -> Outcome {
    let status = DeliveryStatus::Failed;
    Outcome { status, next_attempt_at: None, last_error: Some(error), receipt: None, plugin: None }
}

async fn send(app: &App, channel: &Channel, delivery: &Delivery) -> Result<plugins::Delivered, CallError> {
    let plugin: PluginName = channel.spec.notifier.parse().map_err(CallError::Permanent)?;
    let notification = Arc::new(notification(app, delivery));
    app.plugins.deliver(&plugin, &channel.spec.config_text(), notification).await
}

/// Delivered, tried again later, or given up.
fn judge(app: &App, delivery: &Delivery, sent: Result<plugins::Delivered, CallError>) -> Outcome {
    let error = match sent {
        Ok(plugins::Delivered { receipt: plugins::Receipt { remote_id, detail }, by }) => {
            return Outcome {
                status: DeliveryStatus::Delivered,
                next_attempt_at: None,
                last_error: None,
                receipt: Some(Answered { remote_id, detail }),
                plugin: Some(by.into()),
            };
        }
        Err(error) => error,
    };
    let settings = &app.settings.alerts;
    // A plugin that is not there may come back: it is no fault of the notification.
    let again = error.is_retriable() || matches!(error, CallError::Unknown(_));
    let id = &delivery.id;
    if !again || delivery.attempt >= i64::from(settings.delivery_attempts) {
        tracing::warn!(notification.id = %id, channel = ?delivery.channel, %error, "could not deliver a notification: given up");
        return given_up(error.to_string());
    }
    let asked = match &error {
        CallError::Transient { retry_after_ms: Some(ms), .. } => Duration::from_millis(u64::from(*ms)),
        _ => Duration::ZERO,
    };
    let pause = pause(settings, delivery.attempt).max(asked.min(LONGEST_PAUSE));
    tracing::debug!(notification.id = %id, channel = ?delivery.channel, %error, "could not deliver a notification: it is tried again");
    Outcome {
        status: DeliveryStatus::Queued,
        next_attempt_at: Some(app.clock.now().plus(pause)),
        ..given_up(error.to_string())
    }
}

/// The pause after the attempt of this number, from 1: it doubles.
fn pause(settings: &settings::Alerts, attempt: i64) -> Duration {
    let doublings = u32::try_from(attempt.clamp(1, 33) - 1).unwrap_or(0);
    let seconds = settings.retry_seconds.saturating_mul(1 << doublings);
    Duration::from_secs(seconds.min(settings.retry_max_seconds))
}

async fn settle(app: &App, delivery: &Delivery, outcome: &Outcome) -> db::Result<()> {
    let mut tx = app.db.write().await?;
    queries::settle(&mut tx, &delivery.id, delivery.attempt, outcome, app.clock.now()).await?;
    tx.commit().await
}

/// Sends a notification that says that it is a test, once, and gives what came of it.
pub async fn test(app: &App, channel: &Arc<Channel>, who: &str) -> db::Result<Delivery> {
    let now = app.clock.now();
    let alert = Told {
        id: app.ids.next(),
        rule: "test".to_owned(),
        status: AlertStatus::Firing,
        severity: Severity::Info,
        service_id: "looma".to_owned(),
        service_name: "looma".to_owned(),
        service_type: String::new(),
        labels: Labels::from([("test".to_owned(), "true".to_owned())]),
        value: None,
        message: format!("{who} tests the channel {:?}: nothing is wrong", channel.spec.name),
        started_at: now,
        ended_at: None,
    };
    let mut delivery = Delivery::through(app.ids.next(), &channel.spec.name, Some(channel.clone()), vec![alert], now);
    delivery.title = format!("[TEST] {}", channel.spec.name);
    delivery.attempt = 1;
    let mut outcome = judge(app, &delivery, send(app, channel, &delivery).await);
    if outcome.status == DeliveryStatus::Queued {
        outcome = given_up(outcome.last_error.unwrap_or_default());
    }
    // In the log before it is settled, as any other; claimed, so that nobody else attempts it.
    (delivery.status, delivery.next_attempt_at) = (DeliveryStatus::Queued, Some(now.plus(CLAIM)));
    let mut tx = app.db.write().await?;
    queries::insert(&mut tx, std::slice::from_ref(&delivery)).await?;
    queries::settle(&mut tx, &delivery.id, delivery.attempt, &outcome, app.clock.now()).await?;
    let settled = queries::find(&mut tx, &delivery.id).await?;
    tx.commit().await?;
    Ok(settled.unwrap_or(delivery))
}

/// A notification as notifiers get it.
fn notification(app: &App, delivery: &Delivery) -> Notification {
    Notification {
        id: delivery.id.clone(),
        attempt: u32::try_from(delivery.attempt).unwrap_or(u32::MAX),
        status: status(delivery.alert_status),
        title: delivery.title.clone(),
        group: pairs(&delivery.group),
        alerts: delivery.alerts.iter().map(|told| alert(app, told)).collect(),
    }
}

fn alert(app: &App, told: &Told) -> plugins::Alert {
    let Told { id, rule, status: at, severity, service_id, service_name, service_type: _, labels, .. } = told;
    let Told { value, message, started_at, ended_at, .. } = told;
    plugins::Alert {
        id: id.clone(),
        rule: rule.clone(),
        status: status(*at),
        severity: match severity {
            Severity::Info => plugins::Severity::Info,
            Severity::Warning => plugins::Severity::Warning,
            Severity::Critical => plugins::Severity::Critical,
        },
        service_id: service_id.clone(),
        service_name: service_name.clone(),
        labels: pairs(labels),
        value: *value,
        message: message.clone(),
        started_at_ms: started_at.millis(),
        ended_at_ms: ended_at.map(Timestamp::millis),
        url: url(app, id),
    }
}

/// Where the console shows an alert.
fn url(app: &App, alert: &str) -> String {
    let listen = || format!("http://{}", app.settings.server.listen);
    let base = app.settings.alerts.public_url.clone().unwrap_or_else(listen);
    format!("{}/alerts/{alert}", base.trim_end_matches('/'))
}

fn status(status: AlertStatus) -> plugins::Status {
    match status {
        AlertStatus::Firing => plugins::Status::Firing,
        AlertStatus::Resolved => plugins::Status::Resolved,
    }
}

fn pairs(labels: &Labels) -> Vec<(String, String)> {
    labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

impl From<plugins::PluginRef> for By {
    fn from(plugins::PluginRef { name, version, digest }: plugins::PluginRef) -> Self {
        Self { name: name.to_string(), version, digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let settings = settings::Alerts::default();
        let pauses: Vec<u64> = (1..=12).map(|attempt| pause(&settings, attempt).as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    }
}
