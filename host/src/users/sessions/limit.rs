//! How often signing in may fail: per name and per address, in a window of a minute, in memory.
//!
//! A try counts from before the password is looked at, so that many at once are no way around it; what turns out right, or
//! was not tried at all, is given back.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::clock::Clock;

const WINDOW: Duration = Duration::from_secs(60);
/// Names and addresses that are remembered; an attacker who fills this evicts the oldest.
const REMEMBERED: usize = 10_000;

/// Sign-ins that run or have failed in the last minute.
pub struct LoginLimit {
    clock: Clock,
    allowed: u32,
    tries: Mutex<HashMap<String, Tries>>,
}

/// What is known of a name or an address.
#[derive(Default)]
struct Tries {
    /// When the first of `failed` did.
    since: Duration,
    failed: u32,
    running: u32,
}

/// A try that runs. It counts as failed unless it is given back, even if whoever tried has gone.
pub struct Attempt {
    limit: Arc<LoginLimit>,
    keys: [String; 2],
    failed: bool,
}

impl LoginLimit {
    /// Allows `allowed` failures a minute.
    pub fn new(clock: Clock, allowed: u32) -> Self {
        Self { clock, allowed, tries: Mutex::default() }
    }

    /// Begins a try of this name from this address, or gives the seconds to wait before the next one.
    pub fn attempt(self: &Arc<Self>, username: &str, source: IpAddr) -> Result<Attempt, u64> {
        let keys = [by_name(username), by_source(source)];
        let now = self.clock.uptime();
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seconds) = keys.iter().filter_map(|key| tries.get(key)?.wait(self.allowed, now)).max() {
            return Err(seconds);
        }
        for key in &keys {
            of(&mut tries, key, now).running += 1;
        }
        Ok(Attempt { limit: self.clone(), keys, failed: true })
    }

    fn settle(&self, attempt: &Attempt) {
        let now = self.clock.uptime();
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &attempt.keys {
            let one = of(&mut tries, key, now);
            one.running = one.running.saturating_sub(1);
            if attempt.failed {
                if one.failed == 0 || one.is_over(now) {
                    (one.since, one.failed) = (now, 0);
                }
                one.failed += 1;
            }
            if one.running == 0 && one.failed == 0 {
                tries.remove(key);
            }
        }
    }
}

impl Attempt {
    /// It was right, or the password was not looked at: it does not count.
    pub fn give_back(mut self) {
        self.failed = false;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.limit.settle(self);
    }
}

impl Tries {
    fn is_over(&self, now: Duration) -> bool {
        self.since + WINDOW <= now
    }

    /// Seconds to wait; those that run may fail, so they take places until they end.
    fn wait(&self, allowed: u32, now: Duration) -> Option<u64> {
        let failed = if self.is_over(now) { 0 } else { self.failed };
        if failed >= allowed {
            return Some((self.since + WINDOW).saturating_sub(now).as_secs() + 1);
        }
        (failed.saturating_add(self.running) >= allowed).then_some(1)
    }
}

/// What is known of `key`; makes room for it where there is none.
fn of<'t>(tries: &'t mut HashMap<String, Tries>, key: &str, now: Duration) -> &'t mut Tries {
    if tries.len() >= REMEMBERED && !tries.contains_key(key) {
        tries.retain(|_, one| one.running > 0 || !one.is_over(now));
        if tries.len() >= REMEMBERED {
            let idle = tries.iter().filter(|(_, one)| one.running == 0);
            let oldest = idle.min_by_key(|(_, one)| one.since).map(|(key, _)| key.clone());
            oldest.and_then(|key| tries.remove(&key));
        }
    }
    tries.entry(key.to_owned()).or_default()
}

fn by_name(username: &str) -> String {
    format!("name {}", username.chars().take(100).collect::<String>())
}

/// One who has an IPv6 address has the 2^64 of its network.
fn by_source(source: IpAddr) -> String {
    match source.to_canonical() {
        IpAddr::V4(address) => format!("address {address}"),
        IpAddr::V6(address) => format!("network {}", Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn limit(allowed: u32) -> (Arc<LoginLimit>, Arc<crate::clock::ManualClock>) {
        let (clock, manual) = Clock::manual(Timestamp::parse("2026-01-01T00:00:00Z").unwrap());
        (Arc::new(LoginLimit::new(clock, allowed)), manual)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_runs_takes_places_until_it_is_given_back() {
        let (limit, clock) = limit(2);
        let here = address("192.0.2.1");
        let (first, second) = (limit.attempt("ann", here).ok().unwrap(), limit.attempt("ann", here).ok().unwrap());
        assert_eq!(limit.attempt("ann", here).err(), Some(1));
        first.give_back();
        let third = limit.attempt("ann", here).ok().unwrap();
        drop((second, third));
        assert_eq!(limit.attempt("ann", here).err(), Some(61));
        clock.advance(Duration::from_secs(59));
        assert_eq!(limit.attempt("ann", here).err(), Some(2));
        clock.advance(Duration::from_secs(1));
        limit.attempt("ann", here).ok().unwrap().give_back();
    }

    #[test]
    fn another_address_of_a_network_is_the_same_guesser() {
        let (limit, _) = limit(1);
        drop(limit.attempt("a", address("2001:db8::1")));
        assert!(limit.attempt("b", address("2001:db8::ffff:2")).is_err());
        assert!(limit.attempt("c", address("2001:db8:0:1::1")).is_ok());
        drop(limit.attempt("d", address("192.0.2.7")));
        assert!(limit.attempt("e", address("::ffff:192.0.2.7")).is_err());
        assert!(limit.attempt("f", address("192.0.2.8")).is_ok());
    }

    #[test]
    fn what_is_right_leaves_nothing_behind_and_there_is_an_end_to_what_is_remembered() {
        let (limit, _) = limit(1);
        limit.attempt("ann", address("192.0.2.1")).ok().unwrap().give_back();
        assert!(limit.tries.lock().unwrap().is_empty());
        for n in 0..12_000_u32 {
            drop(limit.attempt(&format!("name-{n}"), IpAddr::V4(n.into())));
        }
        assert!(limit.tries.lock().unwrap().len() <= REMEMBERED);
    }
}
