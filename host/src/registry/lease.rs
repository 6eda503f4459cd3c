//! A lease: when something was last heard of. Renewing one is three atomic stores; the database learns of it in the
//! batch of the second.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::clock::Timestamp;

/// When something was last heard of. It expires by `uptime`, which no change of the wall clock moves.
pub(super) struct Lease {
    /// Nanoseconds of `uptime`.
    beat: AtomicU64,
    /// Epoch milliseconds, to be shown; `i64::MIN` before the first beat.
    wall: AtomicI64,
    /// The newest beat that this replica knows to be in the database; `i64::MIN` when none is.
    stored: AtomicI64,
    dirty: AtomicBool,
    /// Whether it was heard of since this process knows it.
    heard: AtomicBool,
    /// How many connections it says it has; `u32::MAX` where it says nothing.
    connections: AtomicU32,
}

impl Lease {
    /// One that begins at `uptime`, of something last heard of at `stored`.
    pub(super) fn new(uptime: Duration, stored: Option<Timestamp>) -> Self {
        let stored = stored.map_or(i64::MIN, Timestamp::millis);
        Self {
            beat: nanos(uptime).into(),
            wall: stored.into(),
            stored: stored.into(),
            dirty: false.into(),
            heard: false.into(),
            connections: u32::MAX.into(),
        }
    }

    /// It says that it has so many connections.
    pub(super) fn report(&self, connections: u32) {
        self.connections.store(connections.min(u32::MAX - 1), Relaxed);
    }

    /// It was picked for one more, if it counts them.
    pub(super) fn picked(&self) {
        let more = |now: u32| (now < u32::MAX - 1).then(|| now + 1);
        let _ = self.connections.fetch_update(Relaxed, Relaxed, more);
    }

    /// How many connections it has, as far as is known.
    pub(super) fn connections(&self) -> Option<u32> {
        Some(self.connections.load(Relaxed)).filter(|now| *now != u32::MAX)
    }

    /// A beat. It is to be written.
    pub(super) fn touch(&self, uptime: Duration, now: Timestamp) {
        self.beat.fetch_max(nanos(uptime), Relaxed);
        self.wall.store(now.millis(), Relaxed);
        self.dirty.store(true, Relaxed);
        self.heard.store(true, Relaxed);
    }

    /// It was registered with this process, which is a sign of life, if no heartbeat.
    pub(super) fn hear(&self) {
        self.heard.store(true, Relaxed);
    }

    /// Whether it was heard of since this process knows it.
    pub(super) fn is_heard(&self) -> bool {
        self.heard.load(Relaxed)
    }

    /// The database holds a beat at `at`: if that is news, somebody else took it, and the lease begins anew.
    pub(super) fn learn(&self, at: Option<Timestamp>, uptime: Duration) {
        let Some(at) = at.map(Timestamp::millis) else { return };
        if self.stored.fetch_max(at, Relaxed) < at {
            self.beat.fetch_max(nanos(uptime), Relaxed);
            self.wall.fetch_max(at, Relaxed);
            self.hear();
        }
    }

    /// When it was last heard of, in `uptime`.
    pub(super) fn beat(&self) -> Duration {
        Duration::from_nanos(self.beat.load(Relaxed))
    }

    /// When it was last heard of, to be shown.
    pub(super) fn last_beat(&self) -> Option<Timestamp> {
        Timestamp::from_millis(self.wall.load(Relaxed))
    }

    /// The newest beat that this replica knows to be in the database.
    pub(super) fn stored(&self) -> Option<Timestamp> {
        Timestamp::from_millis(self.stored.load(Relaxed))
    }

    /// The time to write, if there was a beat since the last call: later than any that was written before, so that
    /// whoever compares sees that there was one, even when the wall clock was set back.
    pub(super) fn take_unwritten(&self) -> Option<Timestamp> {
        if !self.dirty.swap(false, Relaxed) {
            return None;
        }
        let at = self.wall.load(Relaxed).max(self.stored.load(Relaxed).saturating_add(1));
        Timestamp::from_millis(at)
    }

    /// What `take_unwritten` gave was written.
    pub(super) fn written(&self, at: Timestamp) {
        self.stored.fetch_max(at.millis(), Relaxed);
    }

    /// What `take_unwritten` gave could not be written.
    pub(super) fn unwritten(&self) {
        self.dirty.store(true, Relaxed);
    }
}

fn nanos(uptime: Duration) -> u64 {
    u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_rises_though_the_wall_clock_falls() {
        let at = |millis| Timestamp::from_millis(millis).unwrap();
        let lease = Lease::new(Duration::ZERO, Some(at(1000)));
        assert_eq!(lease.take_unwritten(), None);
        lease.touch(Duration::from_secs(1), at(500));
        assert_eq!(lease.take_unwritten(), Some(at(1001)));
        assert_eq!(lease.last_beat(), Some(at(500)));
        lease.written(at(1001));
        assert_eq!((lease.take_unwritten(), lease.stored()), (None, Some(at(1001))));
    }
}
