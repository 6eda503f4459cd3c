//! Grouping: between an alert that fires or is over, and the notification that says so.
//!
//! Alerts enter in the transaction that records them, so none is lost and none is told that did not happen. A group waits
//! `group_wait` before it is told first, `group_interval` before what is added is told, and is told again each
//! `repeat_interval` while it fires and not everything in it is acknowledged. When all of it is over that is told at once;
//! what then fires again within `group_interval` waits for its end, so that an alert that flaps is told once an interval.

mod flush;
mod queries;

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::{
    Notify,
    deliveries::{self, Delivery},
    routing::{Route, RouteId},
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

/// Puts alerts that have begun to fire, have changed their severity, or are over, on their way to people.
pub async fn enter(tx: &mut Tx, notify: &Notify, ids: &Ids, now: Timestamp, alerts: &[Told]) -> db::Result<()> {
    let routes = notify.routes();
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
            unrouted.push(Delivery::unrouted(ids.next(), alert.clone(), now));
        }
    }
    // What was told by a route that would not take the alert any more is over for that route's channels too.
    let over: Vec<&Told> = alerts.iter().filter(|alert| alert.status == AlertStatus::Resolved).collect();
    queries::end(tx, &over, now).await?;
    for (id, Gathering { route, labels, alerts }) in gatherings {
        // In the order of their keys, so that two replicas never wait for each other.
        queries::open(tx, &id, route, &labels, now).await?;
        let firing: Vec<&Told> = alerts.into_iter().filter(|alert| alert.status == AlertStatus::Firing).collect();
        queries::put_members(tx, &id, &firing).await?;
    }
    queries::hasten_ended(tx, &over, now).await?;
    deliveries::insert(tx, &unrouted).await
}

/// Whoever acknowledged the alert knows of it: it is not repeated.
pub async fn hush(tx: &mut Tx, alert: &str) -> db::Result<()> {
    queries::hush(tx, alert).await
}
