//! Records of what evaluators were given and what they said, so that another version can be run on the same.
//!
//! A record is a wish: it is offered to a queue that never waits, written by a task of its own after the evaluation, and lost
//! when the queue is full or the database does not take it. An evaluation is never slower and never fails for it.
//!
//! Read on in `types`, `writer` (keeping), `replay` (running a version on what was kept, and telling the differences).

mod queries;
mod replay;
mod types;
mod writer;

pub(crate) use queries::STATEMENTS;
pub use queries::{forget, list, prune, whole};
pub(super) use replay::run;
pub use replay::{Difference, Replay, ReplayOutcome, ReplayReport, Replayed, Said};
pub use types::{Exact, Exchange, Judged, NewRecord, Record, StateText, WholeRecord};
pub(super) use writer::{Queue, write};

/// Bytes of one record; a larger call is noted and not kept.
pub const RECORD_BYTES: usize = 1 << 20;
/// Bytes of all records of one rule; the oldest go first.
pub const RULE_BYTES: i64 = 64 << 20;
