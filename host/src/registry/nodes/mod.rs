//! Nodes: machines that services run on. Read on in `types` (what one is and what becomes of it), `queries`, `routes`.

mod queries;
mod routes;
mod types;

pub(super) use routes::routes;
pub use types::{NODES, NewNode, Node, NodeStatus, NodeType};

use super::{
    member::member,
    writer::{Edit, Verdict},
};
use crate::feed::Actor;

pub(super) use queries::{POSTGRES, SQLITE, STATEMENTS, all};

member!(Node, NodeId, node_id, NODES, NODES, "node", last_seen, nodes);

/// Whoever registers a node knows it best: what is new replaces what was, and counts as a heartbeat.
pub(super) fn registering(new: NewNode, actor: Actor) -> Edit<Node> {
    let id = new.node_id.clone();
    let judge = move |row: Option<&Node>, now| {
        Ok(match row {
            None => Verdict::Put(new.node(None, now)),
            Some(row) if row.registration() == new => match row.is_woken_by_a_beat() {
                true => Verdict::Transition(row.clone().beaten(now)),
                false => Verdict::Keep,
            },
            Some(row) => Verdict::Put(new.node(Some(row), now).beaten(now)),
        })
    };
    Edit { id, actor: Some(actor), judge: Box::new(judge) }
}
