//! Grouping: between an alert that fires or is over, and the notification that says so.
//!
//! Alerts enter in the transaction that records them, so none is lost and none is told that did not happen. A group waits
//! `group_wait` before it is told first, `group_interval` before what is added is told, and is told again each
//! `repeat_interval` while it fires and not everything in it is acknowledged. When all of it is over that is told at once;
//! what then fires again within `group_interval` waits for its end, so that an alert that flaps is told once an interval.
//!
//! Many write here at once: who evaluates, who acknowledges or ends an alert, who tells, who deletes a route. So that none of
//! them waits for another in a circle, rows are locked in one order: the rule, the alerts, the routes, the groups, the members of
//! groups; among themselves in the order of their keys; the head of the feed last. Nobody writes a member before the group that it
//! is in is locked. Who tells takes groups that are free, and never waits for one.

mod flush;
mod queries;

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::{
    Notify,
    deliveries::{self, Delivery},
    routing::{self, Route, RouteId},
    types::{AlertStatus, Labels, Told},
};
use crate::{clock::Timestamp, db, db::Tx, ids::Ids};

pub use flush::flush;
pub(crate) use queries::{POSTGRES, SQLITE, STATEMENTS};

/// Alerts of one route that agree in what it groups by.
struct Gathering<'a> {
    route: &'a Route,
    labels: Labels,
    alerts: Vec<&'a Told>,
}

/// The key of a group: its route, and a hash of its labels.
fn group_id(route: &RouteId, labels: &Labels) -> String {
    let labels = serde_json::to_vec(labels).expect("labels are text");
    format!("{route}/{}", hex::encode(&Sha256::digest(labels)[..16]))
}

/// What is to be told by a route, by the keys of groups; and what no route takes.
struct Gathered<'a> {
    gatherings: BTreeMap<String, Gathering<'a>>,
    unrouted: Vec<&'a Told>,
}

/// Looks for the routes of alerts, in the order in which routes are tried.
fn gather<'a>(routes: &[&'a Route], alerts: &'a [Told]) -> Gathered<'a> {
    let mut gatherings: BTreeMap<String, Gathering<'_>> = BTreeMap::new();
    let mut unrouted = Vec::new();
    for alert in alerts {
        let mut taken = false;
        for route in routes.iter().filter(|route| route.spec.matchers.match_alert(alert)) {
            taken = true;
            let labels = route.spec.group_of(alert);
            let id = group_id(&route.route_id, &labels);
            let gathering = gatherings.entry(id).or_insert_with(|| Gathering { route, labels, alerts: Vec::new() });
            gathering.alerts.push(alert);
            if !route.spec.continues {
                break;
            }
        }
        if !taken && alert.status == AlertStatus::Firing {
            unrouted.push(alert);
        }
    }
    Gathered { gatherings, unrouted }
}

/// Puts alerts that have begun to fire, have changed their severity, or are over, on their way to people. Their records are locked.
pub async fn enter(tx: &mut Tx, notify: &Notify, ids: &Ids, now: Timestamp, alerts: &[Told]) -> db::Result<()> {
    let all = notify.routes();
    let concerned = || all.iter().filter(|route| alerts.iter().any(|alert| route.spec.matchers.match_alert(alert)));
    // One that another replica deleted a moment ago takes nothing any more.
    let held = routing::hold(tx, &concerned().map(|route| &route.route_id).collect::<Vec<_>>()).await?;
    let routes: Vec<&Route> =
        concerned().map(|route| &**route).filter(|route| held.contains(&route.route_id)).collect();
    let Gathered { gatherings, unrouted } = gather(&routes, alerts);
    // What was told by a route that would not take the alert any more is over for that route's channels too.
    let over: Vec<&Told> = alerts.iter().filter(|alert| alert.status == AlertStatus::Resolved).collect();
    let over_ids: Vec<&str> = over.iter().map(|alert| alert.id.as_str()).collect();
    let mut groups: BTreeSet<String> = queries::of_alerts(tx, &over_ids).await?.into_iter().collect();
    groups.extend(gatherings.keys().cloned());
    for id in groups {
        match gatherings.get(&id) {
            Some(Gathering { route, labels, .. }) => queries::open(tx, &id, route, labels, now).await?,
            None => queries::hold(tx, &[id]).await?,
        }
    }
    queries::end(tx, &over, now).await?;
    for (id, Gathering { alerts, .. }) in gatherings {
        let firing: Vec<&Told> = alerts.into_iter().filter(|alert| alert.status == AlertStatus::Firing).collect();
        queries::put_members(tx, &id, &firing).await?;
    }
    queries::hasten_ended(tx, &over, now).await?;
    let unrouted: Vec<Delivery> =
        unrouted.into_iter().map(|alert| Delivery::unrouted(ids.next(), alert.clone(), now)).collect();
    deliveries::insert(tx, &unrouted).await
}

/// Whoever acknowledged the alert knows of it: it is not repeated. Its record is locked.
pub async fn hush(tx: &mut Tx, alert: &str) -> db::Result<()> {
    let groups = queries::of_alerts(tx, &[alert]).await?;
    queries::hold(tx, &groups).await?;
    queries::hush(tx, alert).await
}
