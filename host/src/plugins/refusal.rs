//! Why a file was not taken, and whether it is worth another try: what is the file's own fault is remembered until the file changes;
//! what the host or the use that is made of the plugin stood in the way of is tried again, after pauses that grow.

use std::time::Duration;

use super::types::{CallError, Kind, Source};
use crate::wasm::{cache::Digest, compile::CompileError};

const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// How often a file is given another chance that does not answer in time: a machine can be slow, and a file can be made so.
const SLOW: u32 = 3;

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The file's own: no try will go better.
    File,
    /// It took too long, which may be the machine's fault.
    Slow,
    /// What uses the plugin does not go with it; that may change.
    Use,
    /// The host's.
    Host,
}

/// Why a file was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) reason: String,
    pub(super) blame: Blame,
}

impl Why {
    pub(super) fn new(blame: Blame, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), blame }
    }

    /// A call that a file must answer before it is taken failed.
    pub(super) fn call(kind: Kind, what: &str, error: &CallError) -> Self {
        let blame = match error {
            CallError::Busy => Blame::Host,
            // A pure plugin that had no processor was busy; one that waits may have had none.
            CallError::Timeout if !kind.is_pure() => Blame::Slow,
            _ => Blame::File,
        };
        Self::new(blame, format!("{what}: {error}"))
    }
}

impl From<CompileError> for Why {
    fn from(error: CompileError) -> Self {
        let blame = match &error {
            CompileError::Host(_) => Blame::Host,
            CompileError::Invalid(_) | CompileError::Limit(_) => Blame::File,
        };
        Self::new(blame, error.to_string())
    }
}

/// Which file: its bytes, and the signature that came beside it. With another signature it is worth another try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) digest: Digest,
    pub(super) signature: Option<String>,
}

/// A file that was not taken.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) file: FileId,
    pub(super) error: String,
    pub(super) source: Source,
    /// When it is tried again, by `Clock::uptime`; never when it is the file's own fault.
    pub(super) again_at: Option<Duration>,
    tries: u32,
}

impl Refused {
    /// It is the file's own fault.
    pub(super) fn for_good(file: FileId, error: String, source: Source) -> Self {
        Self { file, error, source, again_at: None, tries: 1 }
    }

    /// It failed once, or once more than `before`.
    pub(super) fn new(file: FileId, why: Why, source: Source, before: Option<&Self>, now: Duration) -> Self {
        let tries = before.filter(|before| before.file == file).map_or(0, |before| before.tries) + 1;
        let again = match why.blame {
            Blame::File => false,
            Blame::Slow => tries < SLOW,
            Blame::Use | Blame::Host => true,
        };
        let again_at = again.then(|| now + pause(tries));
        Self { file, error: why.reason, source, again_at, tries }
    }

    /// Whether it is known that this very file is not worth a try now.
    pub(super) fn holds(&self, file: &FileId, now: Duration) -> bool {
        self.file == *file && self.again_at.is_none_or(|at| now < at)
    }

    /// Whether its pause is over.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.again_at.is_some_and(|at| at <= now)
    }
}

/// The pause after so many tries: it doubles.
pub(super) fn pause(tries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << tries.clamp(1, 8).saturating_sub(1)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8], signature: Option<&str>) -> FileId {
        FileId { digest: Digest::of(bytes), signature: signature.map(str::to_owned) }
    }

    fn refused(blame: Blame, before: Option<&Refused>, now: u64) -> Refused {
        let why = Why::new(blame, "boom");
        Refused::new(file(b"file", None), why, Source::Folder, before, Duration::from_secs(now))
    }

    #[test]
    fn only_the_files_own_fault_is_remembered_for_good() {
        let (own, other) = (file(b"file", None), file(b"other", None));
        let day = Duration::from_secs(86_400);
        assert!(refused(Blame::File, None, 0).holds(&own, day));
        assert!(!refused(Blame::File, None, 0).holds(&file(b"file", Some("signature")), day));
        for blame in [Blame::Slow, Blame::Use, Blame::Host] {
            let refused = refused(blame, None, 100);
            assert!(refused.holds(&own, Duration::from_secs(129)), "{blame:?}");
            assert!(!refused.holds(&other, Duration::from_secs(129)));
            assert!(refused.is_due(Duration::from_secs(130)) && !refused.holds(&own, Duration::from_secs(130)));
        }
    }

    #[test]
    fn pauses_grow_and_a_slow_file_has_a_last_chance() {
        let mut last = refused(Blame::Host, None, 0);
        for (tries, seconds) in [(2, 60), (3, 120), (4, 240), (5, 480), (6, 600), (7, 600)] {
            last = refused(Blame::Host, Some(&last), 0);
            assert_eq!((last.tries, last.again_at), (tries, Some(Duration::from_secs(seconds))));
        }
        let mut slow = refused(Blame::Slow, None, 0);
        slow = refused(Blame::Slow, Some(&slow), 0);
        assert!(slow.again_at.is_some());
        assert_eq!(refused(Blame::Slow, Some(&slow), 0).again_at, None);
    }
}
