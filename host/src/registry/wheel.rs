//! A hashed timing wheel (Varghese and Lauck 1987, scheme 6): which leases have run out, without looking at the others.
//!
//! It never moves a lease when it is renewed: an entry that comes up asks for its deadline, and is put further on if that
//! has moved. So a renewal costs nothing here, and a turn costs what comes up.

use std::{collections::HashMap, hash::Hash, time::Duration};

/// Keys by the tick at which to look at them.
pub(super) struct Wheel<K> {
    tick: Duration,
    slots: Vec<Vec<(u64, K)>>,
    /// The one entry of each key that counts; others of it in the slots are stale.
    due: HashMap<K, u64>,
    /// The first tick that has not been swept.
    next: u64,
}

impl<K: Clone + Eq + Hash> Wheel<K> {
    /// An empty wheel. A lease is told at most one `tick` late.
    pub(super) fn new(slots: usize, tick: Duration) -> Self {
        Self { tick, slots: (0..slots.max(1)).map(|_| Vec::new()).collect(), due: HashMap::new(), next: 0 }
    }

    /// Looks at `key` once `deadline` has passed, or before that if it was armed for an earlier one.
    pub(super) fn arm(&mut self, key: K, deadline: Duration) {
        let ticks = deadline.as_nanos().div_ceil(self.tick.as_nanos());
        let at = u64::try_from(ticks).unwrap_or(u64::MAX).max(self.next);
        if self.due.get(&key).is_some_and(|due| *due <= at) {
            return;
        }
        self.due.insert(key.clone(), at);
        let slot = self.slot(at);
        self.slots[slot].push((at, key));
    }

    /// Gives the keys whose `deadline` has passed and forgets them; one that has no deadline any more is forgotten too.
    pub(super) fn turn(&mut self, now: Duration, deadline: impl Fn(&K) -> Option<Duration>) -> Vec<K> {
        let last = u64::try_from(now.as_nanos() / self.tick.as_nanos()).unwrap_or(u64::MAX);
        let (mut expired, mut later) = (Vec::new(), Vec::new());
        let slots = u64::try_from(self.slots.len()).unwrap_or(u64::MAX);
        let ticks = last.saturating_add(1).saturating_sub(self.next).min(slots);
        for tick in self.next..self.next + ticks {
            let slot = self.slot(tick);
            for (at, key) in std::mem::take(&mut self.slots[slot]) {
                if at > last {
                    self.slots[slot].push((at, key));
                } else if self.due.get(&key) == Some(&at) {
                    self.due.remove(&key);
                    match deadline(&key) {
                        Some(deadline) if deadline <= now => expired.push(key),
                        Some(deadline) => later.push((key, deadline)),
                        None => {}
                    }
                }
            }
        }
        self.next = self.next.max(last.saturating_add(1));
        for (key, deadline) in later {
            self.arm(key, deadline);
        }
        expired
    }

    fn slot(&self, tick: u64) -> usize {
        let slots = u64::try_from(self.slots.len()).unwrap_or(u64::MAX);
        usize::try_from(tick % slots).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    /// What happens to a lease, or to all of them.
    #[derive(Clone, Debug)]
    enum Step {
        /// It is renewed, with a time to live in milliseconds.
        Renew(u8, u64),
        /// It is given up.
        GiveUp(u8),
        /// Time passes, and the wheel turns.
        Pass(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..20_u8, 1..5000_u64).prop_map(|(key, ttl)| Step::Renew(key, ttl)),
            1 => (0..20_u8).prop_map(Step::GiveUp),
            4 => (0..700_u64).prop_map(Step::Pass),
            1 => (0..20_000_u64).prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// Whatever happens, a lease is told once, never before its deadline, and by the first turn that is a tick past it.
        #[test]
        fn leases_expire_on_time(slots in 1..40_usize, steps in steps()) {
            let mut wheel = Wheel::new(slots, TICK);
            let mut deadlines: HashMap<u8, Duration> = HashMap::new();
            let mut now = Duration::ZERO;
            for step in steps {
                match step {
                    Step::Renew(key, ttl) => {
                        let deadline = now + Duration::from_millis(ttl);
                        // As leases do: only one that is new, or shorter than it was, is brought to the wheel.
                        let before = deadlines.insert(key, deadline);
                        if before.is_none_or(|before| deadline < before) {
                            wheel.arm(key, deadline);
                        }
                    }
                    Step::GiveUp(key) => drop(deadlines.remove(&key)),
                    Step::Pass(millis) => {
                        now += Duration::from_millis(millis);
                        for key in wheel.turn(now, |key| deadlines.get(key).copied()) {
                            let deadline = deadlines.remove(&key);
                            prop_assert!(deadline.is_some_and(|deadline| deadline <= now), "{key} {deadline:?} {now:?}");
                        }
                        for (key, deadline) in &deadlines {
                            prop_assert!(*deadline + TICK > now, "{key} is late: {deadline:?} at {now:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn renewing_leaves_one_entry() {
        let mut wheel = Wheel::new(8, TICK);
        for renewal in 1..1000 {
            wheel.arm("a", TICK * renewal);
        }
        assert_eq!(wheel.slots.iter().map(Vec::len).sum::<usize>(), 1);
    }
}
