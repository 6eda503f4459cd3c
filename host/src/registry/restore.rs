//! What comes back by itself: services that went with their node, and those that were held because they changed too often.

use super::{
    Core,
    index::{Held, Index},
    services::Service,
    writer::{self, Edit, Verdict, WriteError},
};
use crate::ids::ServiceId;

/// Brings back what may come back.
pub(super) async fn restore(core: &Core) -> anyhow::Result<()> {
    let edits: Vec<Edit<Service>> = {
        let (index, now) = (core.index(), core.clock.now());
        let edits = index.services.iter().filter_map(|(id, held)| {
            if is_back(&index, held) {
                return Some(back(id));
            }
            held.thing.may_be_released(now, &core.settings).then(|| release(core, id))
        });
        edits.collect()
    };
    for reply in writer::write(core, &edits).await {
        reply.map(drop).or_else(|error| match error {
            WriteError::NotThere(_) => Ok(()),
            error => Err(error),
        })?;
    }
    Ok(())
}

/// Whether it went with its node, sends no heartbeats of its own, and the node is back.
fn is_back(index: &Index, held: &Held<Service>) -> bool {
    let service = &held.thing;
    let goes_with_it = service.ttl_seconds == 0 || service.lives_by_its_check();
    if !goes_with_it || !service.fell_silent_with_its_node() {
        return false;
    }
    let node = service.node_id.as_ref().and_then(|id| index.nodes.get(id));
    node.is_some_and(|node| !node.thing.is_silent())
}

fn back(id: &ServiceId) -> Edit<Service> {
    Edit::existing(id, None, |row: &Service, now| {
        Ok(match row.fell_silent_with_its_node() {
            true => Verdict::Transition(row.clone().restored(now)),
            false => Verdict::Keep,
        })
    })
}

fn release(core: &Core, id: &ServiceId) -> Edit<Service> {
    let settings = core.settings.clone();
    Edit::existing(id, None, move |row: &Service, now| {
        Ok(match row.may_be_released(now, &settings) {
            true => Verdict::Transition(row.clone().released(now)),
            false => Verdict::Keep,
        })
    })
}
