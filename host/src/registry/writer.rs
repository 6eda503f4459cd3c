//! Writing: edits that arrive together are judged against locked rows, get their revisions, and are committed as one.
//!
//! An edit is a function from what is there to what shall be. It may be called more than once, and must do nothing else.
//! What is not there cannot be locked: if another replica has made it when the revisions are reserved, all is judged anew.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{Core, member::Member};
use crate::{
    clock::Timestamp,
    db::{self, Overloaded},
    feed::{Actor, Changes},
    http::error::ApiError,
    ids::Revision,
};

/// How many edits one transaction takes.
const BATCH: usize = 1000;

/// How often edits are judged before it is said that too much is going on.
const TRIES: usize = 8;

/// What an edit makes of what is there.
pub(super) enum Verdict<T> {
    /// Leave it.
    Keep,
    /// This is what somebody wants it to be.
    Put(T),
    /// This is what became of it: for no audit.
    Transition(T),
    /// Take it away.
    Remove,
}

/// Why an edit was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// There is no such thing.
    #[error("no such {0}")]
    NotThere(&'static str),
    /// It is not what the edit was made for any more.
    #[error("it has changed since it was read")]
    Changed,
    /// It belongs to somebody else.
    #[error("it was registered by {0}")]
    Theirs(String),
    /// Whoever wants it speaks for another.
    #[error("it is registered under another name")]
    NotYours,
    /// Too much is waiting.
    #[error(transparent)]
    Busy(#[from] Arc<Overloaded>),
    /// The database failed.
    #[error("could not write to the registry: {0}")]
    Failed(Arc<db::DbError>),
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NotThere(what) => Self::NotFound(what.to_owned()),
            WriteError::Changed => Self::PreconditionFailed,
            WriteError::Theirs(_) => Self::Conflict(error.to_string()),
            WriteError::Busy(_) => Overloaded.into(),
            WriteError::NotYours => Self::bound_elsewhere(),
            WriteError::Failed(ref cause) => Self::unavailable(cause).unwrap_or_else(|| Self::Internal(error.into())),
        }
    }
}

type Judge<T> = Box<dyn Fn(Option<&T>, Timestamp) -> Result<Verdict<T>, WriteError> + Send + Sync>;

/// One edit.
pub(super) struct Edit<T: Member> {
    pub(super) id: T::Id,
    /// Who wants it; nobody does when the program does it of itself.
    pub(super) actor: Option<Actor>,
    pub(super) judge: Judge<T>,
}

impl<T: Member> Edit<T> {
    /// An edit of something that must be there.
    pub(super) fn existing(
        id: &T::Id,
        actor: Option<Actor>,
        judge: impl Fn(&T, Timestamp) -> Result<Verdict<T>, WriteError> + Send + Sync + 'static,
    ) -> Self {
        let judge: Judge<T> = Box::new(move |row, now| judge(row.ok_or(WriteError::NotThere(T::WHAT))?, now));
        Self { id: id.clone(), actor, judge }
    }

    /// The same, but refused where `check` says so of what is there.
    pub(super) fn checked(self, check: impl Fn(&T) -> Result<(), WriteError> + Send + Sync + 'static) -> Self {
        let Self { id, actor, judge } = self;
        let judge: Judge<T> = Box::new(move |row, now| {
            row.map_or(Ok(()), &check)?;
            judge(row, now)
        });
        Self { id, actor, judge }
    }
}

/// What became of an edit.
#[derive(Clone)]
pub(super) struct Done<T> {
    pub(super) before: Option<T>,
    pub(super) after: Option<T>,
    pub(super) change: Change,
}

/// Whether an edit changed anything, and on whose account.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// No.
    None,
    /// Somebody wanted it.
    Asked,
    /// It came about.
    Happened,
    /// It came about, and nobody is shown it.
    Unseen,
}

pub(super) type Reply<T> = Result<Done<T>, WriteError>;

/// Does edits, in their order; those of one chunk in one commit. One that the database refuses takes no other with it.
pub(super) async fn write<T: Member>(core: &Core, edits: &[Edit<T>]) -> Vec<Reply<T>> {
    let mut replies = Vec::with_capacity(edits.len());
    for chunk in edits.chunks(BATCH) {
        match commit(core, chunk).await {
            Ok(done) => replies.extend(done),
            Err(error) if chunk.len() > 1 && db::is_refusal(&error) => {
                for edit in chunk {
                    let alone = commit(core, std::slice::from_ref(edit)).await;
                    replies.extend(alone.unwrap_or_else(|error| vec![Err(WriteError::Failed(Arc::new(error)))]));
                }
            }
            Err(error) => {
                let failed = WriteError::Failed(Arc::new(error));
                replies.extend(chunk.iter().map(|_| Err(failed.clone())));
            }
        }
    }
    replies
}

async fn commit<T: Member>(core: &Core, edits: &[Edit<T>]) -> db::Result<Vec<Reply<T>>> {
    for _ in 0..TRIES {
        if let Some(replies) = try_commit(core, edits).await? {
            return Ok(replies);
        }
    }
    let busy = Arc::new(Overloaded);
    Ok(edits.iter().map(|_| Err(busy.clone().into())).collect())
}

/// `None` if something came to be after it was judged as not being there.
async fn try_commit<T: Member>(core: &Core, edits: &[Edit<T>]) -> db::Result<Option<Vec<Reply<T>>>> {
    let now = core.clock.now();
    let mut tx = core.db.write().await?;
    let mut absent: BTreeSet<T::Id> = edits.iter().map(|edit| edit.id.clone()).collect();
    let rows = T::lock(&mut tx, absent.iter().cloned().collect()).await?;
    for row in &rows {
        absent.remove(row.id());
    }
    let mut replies = judge(core, rows, edits, now);
    let count = replies.iter().flatten().filter(|done| done.change != Change::None).count();
    if count == 0 {
        return Ok(Some(replies));
    }
    let reserved = core.feed.reserve(&mut tx, count).await?;
    // Whoever makes something has reserved before: from here on nobody else does. It is read without a lock, because those
    // who hold one may be waiting for this reservation.
    let absent: Vec<T::Id> = if core.db.is_shared() { absent.into_iter().collect() } else { Vec::new() };
    if !absent.is_empty() && !T::beats(&mut tx, absent).await?.is_empty() {
        tx.rollback().await?;
        return Ok(None);
    }
    let (last, changes) = number(&mut replies, edits, reserved.first());
    let put: Vec<T> = last.values().flatten().cloned().collect();
    let deleted: Vec<T::Id> = last.iter().filter(|(_, after)| after.is_none()).map(|(id, _)| id.clone()).collect();
    if !put.is_empty() {
        T::put(&mut tx, &put).await?;
    }
    if !deleted.is_empty() {
        T::delete(&mut tx, deleted).await?;
    }
    core.feed.commit_reserved(tx, reserved, changes).await?;
    Ok(Some(replies))
}

/// What each edit makes of what those before it left.
fn judge<T: Member>(core: &Core, rows: Vec<T>, edits: &[Edit<T>], now: Timestamp) -> Vec<Reply<T>> {
    let mut rows: HashMap<T::Id, T> = rows.into_iter().map(|row| (row.id().clone(), row)).collect();
    let judged = edits.iter().map(|edit| {
        let before = rows.get(&edit.id).cloned();
        let (after, change) = match (edit.judge)(before.as_ref(), now)? {
            Verdict::Keep => (before.clone(), Change::None),
            Verdict::Put(after) => (Some(after.settled(before.as_ref(), now)), Change::Asked),
            Verdict::Transition(after) => {
                let after = after.settled_by_itself(before.as_ref(), now, &core.settings);
                let unseen = before.as_ref().is_some_and(|before| after.shows_as(before));
                (Some(after), if unseen { Change::Unseen } else { Change::Happened })
            }
            Verdict::Remove if before.is_some() => (None, Change::Asked),
            Verdict::Remove => (None, Change::None),
        };
        match &after {
            Some(after) => rows.insert(edit.id.clone(), after.clone()),
            None => rows.remove(&edit.id),
        };
        Ok(Done { before, after, change })
    });
    judged.collect()
}

type Last<T> = BTreeMap<<T as Member>::Id, Option<T>>;

/// Gives each change its revision, and says what is left of each row and what the feed carries.
fn number<T: Member>(replies: &mut [Reply<T>], edits: &[Edit<T>], first: Revision) -> (Last<T>, Changes) {
    let (mut last, mut changes, mut revision) = (BTreeMap::new(), Changes::unaudited(), first);
    for (reply, edit) in replies.iter_mut().zip(edits) {
        let Ok(Done { before, after, change }) = reply else { continue };
        let mut own = match (*change, edit.actor.clone()) {
            (Change::None, _) => continue,
            (Change::Asked, Some(actor)) => Changes::by(actor),
            (Change::Asked | Change::Happened | Change::Unseen, _) => Changes::unaudited(),
        };
        let key = edit.id.to_string();
        match after {
            // Its own revision stays: what is shown has not changed.
            Some(after) if *change == Change::Unseen => own.put_quietly(T::UNSEEN, key, after),
            Some(after) => {
                after.set_revision(revision);
                own.put(T::TOPIC, key, before.as_ref(), after);
            }
            None => before.iter().for_each(|before| own.delete(T::TOPIC, key.clone(), before)),
        }
        changes.append(own);
        last.insert(edit.id.clone(), after.clone());
        revision.0 += 1;
    }
    (last, changes)
}
