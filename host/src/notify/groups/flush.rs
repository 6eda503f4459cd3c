//! What becomes of a group whose time has come: a notification a channel, or nothing, and when it is looked at again.

use std::time::Duration;

use super::{
    super::{
        deliveries::{self, Delivery},
        routing::{Route, RouteSpec},
        types::{AlertStatus, Labels, Told},
    },
    queries::{self, Group, Member},
};
use crate::{app::App, clock::Timestamp, db, db::Tx};

/// How many groups one transaction takes.
const AT_ONCE: i64 = 50;
/// How many alerts one notification tells of; its title says how many there are.
const MOST_ALERTS: usize = 200;

/// Whether a group waits to be looked at.
async fn is_due(app: &App) -> db::Result<bool> {
    queries::any_due(&mut app.db.read().await?, app.clock.now()).await
}

/// Looks at every group whose time has come.
pub async fn flush(app: &App) -> db::Result<()> {
    while is_due(app).await? && db::retried(|| flush_some(app)).await? {}
    Ok(())
}

/// Looks at some of them; false if others have them all.
async fn flush_some(app: &App) -> db::Result<bool> {
    let now = app.clock.now();
    let mut tx = app.db.write().await?;
    let groups = queries::due(&mut tx, now, AT_ONCE).await?;
    if groups.is_empty() {
        return Ok(false);
    }
    let mut outbox = Vec::new();
    for group in groups {
        outbox.extend(flush_one(&mut tx, app, group, now).await?);
    }
    deliveries::insert(&mut tx, &outbox).await?;
    tx.commit().await?;
    Ok(true)
}

async fn flush_one(tx: &mut Tx, app: &App, mut group: Group, now: Timestamp) -> db::Result<Vec<Delivery>> {
    let Some(route) = app.notify.route(group.route_id.as_str()) else {
        // Deleted on another replica a moment ago; its groups are deleted with it.
        group.next_at = now.plus(Duration::from_secs(1));
        queries::plan(tx, &group).await?;
        return Ok(Vec::new());
    };
    let members = queries::members(tx, &group.group_id).await?;
    let silenced = |alert: &Told| app.notify.silence_of(alert, now).is_some();
    let Decision { tell, next } = decide(&route.spec, &group, &members, silenced, now);
    let told = tell.as_ref().map(|tell| tell.ids()).unwrap_or_default();
    let outbox = tell.map(|tell| tell.through(app, &route, &group, now)).unwrap_or_default();
    match next {
        Next::Delete => queries::delete(tx, &group.group_id).await?,
        Next::Look { next_at, not_before, last_sent_at } => {
            (group.next_at, group.not_before, group.last_sent_at) = (next_at, not_before, last_sent_at);
            queries::set_told(tx, &group.group_id, &told).await?;
            queries::forget_ended(tx, &group.group_id).await?;
            queries::plan(tx, &group).await?;
        }
    }
    Ok(outbox)
}

#[derive(Debug, PartialEq)]
struct Decision {
    tell: Option<Tell>,
    next: Next,
}

/// What is told.
#[derive(Debug, PartialEq)]
struct Tell {
    firing: Vec<Told>,
    ended: Vec<Told>,
}

#[derive(Debug, PartialEq)]
enum Next {
    /// Nothing is left of it.
    Delete,
    Look {
        next_at: Timestamp,
        not_before: Option<Timestamp>,
        last_sent_at: Option<Timestamp>,
    },
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn decide(
    route: &RouteSpec,
    group: &Group,
    members: &[Member],
    silenced: impl Fn(&Told) -> bool,
    now: Timestamp,
) -> Decision {
    let (muted, heard): (Vec<&Member>, Vec<&Member>) = members.iter().partition(|member| silenced(&member.alert));
    let (firing, ended): (Vec<&Member>, Vec<&Member>) =
        heard.into_iter().partition(|member| member.status == AlertStatus::Firing);
    let ended: Vec<&Member> = ended.into_iter().filter(|member| member.told).collect();
    let muted = muted.iter().any(|member| member.status == AlertStatus::Firing);
    let changed = !ended.is_empty() || firing.iter().any(|member| !member.told || member.changed);
    let repeat = seconds(route.repeat_interval_seconds);
    let again =
        firing.iter().any(|member| !member.quiet) && group.last_sent_at.is_some_and(|at| at.plus(repeat) <= now);
    let (mut not_before, mut last_sent_at) = (group.not_before, group.last_sent_at);
    let mut tell = None;
    let interval = seconds(route.group_interval_seconds);
    if changed || again {
        (not_before, last_sent_at) = (Some(now.plus(interval)), Some(now));
        let alerts = |members: &[&Member]| members.iter().map(|member| member.alert.0.clone()).collect();
        tell = Some(Tell { firing: alerts(&firing), ended: alerts(&ended) });
    }
    let repeated = (!firing.is_empty()).then(|| last_sent_at.unwrap_or(now).plus(repeat));
    let heard_again = muted.then(|| now.plus(interval));
    let kept = not_before.filter(|end| *end > now && repeated.is_none() && heard_again.is_none());
    let next = match repeated.into_iter().chain(heard_again).chain(kept).min() {
        None => Next::Delete,
        Some(at) => {
            let next_at = at.max(now.plus(Duration::from_secs(1)));
            Next::Look { next_at, not_before, last_sent_at }
        }
    };
    Decision { tell, next }
}

impl Tell {
    fn ids(&self) -> Vec<String> {
        self.firing.iter().map(|alert| alert.id.clone()).collect()
    }

    fn status(&self) -> AlertStatus {
        if self.firing.is_empty() { AlertStatus::Resolved } else { AlertStatus::Firing }
    }

    /// What people read first: whether it goes on, how many there are, and what they have in common.
    fn title(&self, labels: &Labels) -> String {
        let word = match self.status() {
            AlertStatus::Firing => format!("[FIRING:{}]", self.firing.len()),
            AlertStatus::Resolved => format!("[RESOLVED:{}]", self.ended.len()),
        };
        let mut about: Vec<&str> = labels.values().map(String::as_str).filter(|value| !value.is_empty()).collect();
        if about.is_empty() {
            about = self.firing.iter().chain(&self.ended).map(|alert| alert.rule.as_str()).collect();
            about.sort_unstable();
            about.dedup();
            about.truncate(3);
        }
        format!("{word} {}", about.join(", "))
    }

    /// A notification for each channel of the route.
    fn through(self, app: &App, route: &Route, group: &Group, now: Timestamp) -> Vec<Delivery> {
        let (title, alert_status) = (self.title(&group.labels), self.status());
        let alerts: Vec<Told> = self.firing.into_iter().chain(self.ended).take(MOST_ALERTS).collect();
        let one = |name: &String| Delivery {
            route: Some(route.spec.name.clone()),
            title: title.clone(),
            alert_status,
            group: group.labels.clone(),
            group_id: Some(group.group_id.clone()),
            ..Delivery::through(app.ids.next(), name, app.notify.channel_named(name), alerts.clone(), now)
        };
        route.spec.channels.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        db::Json,
        notify::{routing::RouteId, types::Severity},
    };

    const T0: i64 = 1_760_000_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(T0 + seconds * 1000).unwrap()
    }

    fn route() -> RouteSpec {
        serde_json::from_str(
            r#"{"name": "all", "channels": ["ops"], "group_wait_seconds": 0, "repeat_interval_seconds": 600}"#,
        )
        .unwrap()
    }

    fn group(last_sent_at: Option<i64>) -> Group {
        let last_sent_at = last_sent_at.map(at);
        let not_before = last_sent_at.map(|at| at.plus(Duration::from_secs(60)));
        let (group_id, route_id) = ("g".to_owned(), RouteId::from("r"));
        Group { group_id, route_id, labels: Json::default(), next_at: at(0), not_before, last_sent_at }
    }

    fn member(id: &str, status: AlertStatus, told: bool) -> Member {
        let alert = Told {
            id: id.to_owned(),
            rule: "cpu high".to_owned(),
            status,
            severity: Severity::Critical,
            service_id: "ai-1".to_owned(),
            service_name: "ai".to_owned(),
            service_type: String::new(),
            labels: Labels::new(),
            value: None,
            message: String::new(),
            started_at: at(0),
            ended_at: None,
        };
        Member { status, told, changed: !told, quiet: false, alert: Json(alert) }
    }

    fn told(decision: &Decision) -> (usize, usize) {
        decision.tell.as_ref().map_or((0, 0), |tell| (tell.firing.len(), tell.ended.len()))
    }

    #[test]
    fn what_is_new_is_told_once_and_then_repeated() {
        let mut members = vec![member("a", AlertStatus::Firing, false)];
        let first = decide(&route(), &group(None), &members, |_| false, at(0));
        assert_eq!(told(&first), (1, 0));
        let next = Next::Look { next_at: at(600), not_before: Some(at(60)), last_sent_at: Some(at(0)) };
        assert_eq!(first.next, next);
        (members[0].told, members[0].changed) = (true, false);
        assert_eq!(told(&decide(&route(), &group(Some(0)), &members, |_| false, at(599))), (0, 0));
        assert_eq!(told(&decide(&route(), &group(Some(0)), &members, |_| false, at(600))), (1, 0));
        members[0].quiet = true;
        assert_eq!(told(&decide(&route(), &group(Some(0)), &members, |_| false, at(600))), (0, 0));
    }

    #[test]
    fn what_nobody_heard_of_is_not_told_to_be_over() {
        let unheard = decide(&route(), &group(None), &[member("a", AlertStatus::Resolved, false)], |_| false, at(0));
        assert_eq!(unheard, Decision { tell: None, next: Next::Delete });
        let heard = decide(&route(), &group(Some(0)), &[member("a", AlertStatus::Resolved, true)], |_| false, at(5));
        assert_eq!(told(&heard), (0, 1));
        assert!(matches!(heard.next, Next::Look { next_at, .. } if next_at == at(65)), "it keeps its pause");
    }

    #[test]
    fn silenced_alerts_wait_for_the_end_of_the_silence() {
        let members = [member("a", AlertStatus::Firing, false)];
        let decision = decide(&route(), &group(None), &members, |_| true, at(0));
        assert_eq!(decision.tell, None);
        assert!(matches!(decision.next, Next::Look { next_at, .. } if next_at == at(60)));
    }
}
