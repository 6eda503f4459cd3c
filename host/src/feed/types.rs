//! Changes, topics, and who made a change.

use serde::Serialize;
use serde_json::Value;

use crate::{
    clock::Timestamp,
    http::auth::Scope,
    ids::{ReplicaId, RequestId, Revision},
    text_enum,
};

/// What kind of thing changed. Declared by the domain that owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name in `/watch` and in `changes`.
    pub name: &'static str,
    /// What a watcher must be allowed to read; `None`: this topic is for the replicas alone.
    pub scope: Option<Scope>,
}

text_enum! {
    /// What happened to a key.
    pub enum Op {
        /// It was made or changed.
        Put = "put",
        /// It is gone.
        Delete = "delete",
    }
}

/// One change, as committed.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its place in the feed.
    pub revision: Revision,
    /// The topic's name.
    pub topic: String,
    /// What happened.
    pub op: Op,
    /// To which key.
    pub key: String,
    /// What it is now, as JSON text; absent when deleted.
    pub value: Option<String>,
    /// When.
    pub at: Timestamp,
    /// By way of which replica.
    pub replica: ReplicaId,
}

impl Change {
    /// Reads the value; `None` when it was deleted, or when a newer version wrote what this one cannot read.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        let value = self.value.as_deref()?;
        match serde_json::from_str(value) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::error!(topic = self.topic, key = self.key, %error, "could not read a change of the feed");
                None
            }
        }
    }
}

/// This replica has missed changes that are no longer kept: its memory cannot be brought up to date.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("changes after revision {0} are no longer kept: this replica must be started anew")]
pub struct Behind(pub Revision);

/// Who makes a change, for the audit.
#[derive(Clone, Debug)]
pub struct Actor {
    /// `user:ID`, `token:ID` or `system:TASK`.
    pub name: String,
    /// The address that asked; empty for the system.
    pub source: String,
    /// The request; empty for the system.
    pub request: RequestId,
}

impl Actor {
    /// A task of the program itself.
    pub fn system(task: &str) -> Self {
        Self { name: format!("system:{task}"), source: String::new(), request: RequestId(String::new()) }
    }
}

/// Changes that will be committed together.
#[derive(Debug)]
pub struct Changes {
    actor: Option<Actor>,
    list: Vec<Pending>,
    audit: Vec<Audit>,
}

#[derive(Debug)]
struct Pending {
    topic: Topic,
    op: Op,
    key: String,
    value: Option<String>,
}

#[derive(Debug)]
pub(super) struct Audit {
    pub(super) actor: Actor,
    pub(super) action: String,
    pub(super) resource_type: &'static str,
    pub(super) resource_id: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
    pub(super) at: Timestamp,
}

impl Changes {
    /// Changes that somebody asked for: each gets an audit row.
    pub fn by(actor: Actor) -> Self {
        Self { actor: Some(actor), list: Vec::new(), audit: Vec::new() }
    }

    /// Changes that the program makes of itself, such as a missed heartbeat: no audit.
    pub fn unaudited() -> Self {
        Self { actor: None, list: Vec::new(), audit: Vec::new() }
    }

    /// Who asked for them, if anybody did.
    pub fn actor(&self) -> Option<&Actor> {
        self.actor.as_ref()
    }

    /// `key` is now `after`; `before` is what it was, if it was there. Both are JSON without secrets.
    pub fn put<T: Serialize>(&mut self, topic: Topic, key: impl Into<String>, before: Option<&T>, after: &T) {
        let key = key.into();
        let action = if before.is_some() { "update" } else { "create" };
        self.audit(topic.name, &key, action, before.map(to_value), Some(to_value(after)));
        self.put_quietly(topic, key, after);
    }

    /// As `put`, for what is watched but not audited.
    pub fn put_quietly<T: Serialize>(&mut self, topic: Topic, key: impl Into<String>, after: &T) {
        let value = serde_json::to_string(after).expect("what a feed carries has text keys and serialises");
        self.list.push(Pending { topic, op: Op::Put, key: key.into(), value: Some(value) });
    }

    /// `key` is gone; `before` is what it was.
    pub fn delete<T: Serialize>(&mut self, topic: Topic, key: impl Into<String>, before: &T) {
        let key = key.into();
        self.audit(topic.name, &key, "delete", Some(to_value(before)), None);
        self.delete_quietly(topic, key);
    }

    /// As `delete`, for what is watched but not audited.
    pub fn delete_quietly(&mut self, topic: Topic, key: impl Into<String>) {
        self.list.push(Pending { topic, op: Op::Delete, key: key.into(), value: None });
    }

    /// An audit row of its own, for what is no change of a topic or has a better name than create, update, delete.
    pub fn audit(&mut self, what: &'static str, id: &str, action: &str, before: Option<Value>, after: Option<Value>) {
        if let Some(actor) = self.actor.clone() {
            self.audit.push(Audit {
                actor,
                action: action.to_owned(),
                resource_type: what,
                resource_id: id.to_owned(),
                before,
                after,
                at: Timestamp::MIN,
            });
        }
    }

    /// Adds another request's changes, with its own actor.
    pub fn append(&mut self, mut other: Self) {
        self.list.append(&mut other.list);
        self.audit.append(&mut other.audit);
    }

    /// How many changes will need a revision.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is nothing to commit beside the transaction itself.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.audit.is_empty()
    }

    pub(super) fn dated(self, first: Revision, at: Timestamp, replica: &ReplicaId) -> (Vec<Change>, Vec<Audit>) {
        let numbered = (first.0..).map(Revision).zip(self.list);
        let changes = numbered.map(|(revision, Pending { topic, op, key, value })| Change {
            revision,
            topic: topic.name.to_owned(),
            op,
            key,
            value,
            at,
            replica: replica.clone(),
        });
        let audit = self.audit.into_iter().map(|row| Audit { at, ..row });
        (changes.collect(), audit.collect())
    }
}

fn to_value<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("what a feed carries has text keys and serialises")
}
