//! How often signing in may fail: per name and per address, in a window of a minute, in memory.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::clock::Clock;

const WINDOW: Duration = Duration::from_secs(60);
/// Names and addresses that are remembered; an attacker who fills this evicts the oldest.
const REMEMBERED: usize = 10_000;

/// Failed sign-ins of the last minute.
pub struct LoginLimit {
    clock: Clock,
    allowed: u32,
    failures: Mutex<HashMap<String, (Duration, u32)>>,
}

impl LoginLimit {
    /// Allows `allowed` failures a minute.
    pub fn new(clock: Clock, allowed: u32) -> Self {
        Self { clock, allowed, failures: Mutex::default() }
    }

    /// Seconds to wait before this name may be tried from this address; `None`: now.
    pub fn wait(&self, username: &str, source: IpAddr) -> Option<u64> {
        let now = self.clock.uptime();
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |key: &str| {
            let (began, count) = failures.get(key)?;
            let left = (*began + WINDOW).checked_sub(now)?;
            (*count >= self.allowed).then_some(left.as_secs() + 1)
        };
        left(&by_name(username)).max(left(&by_source(source)))
    }

    /// Counts one.
    pub fn failed(&self, username: &str, source: IpAddr) {
        let now = self.clock.uptime();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= REMEMBERED {
            failures.retain(|_, (began, _)| *began + WINDOW > now);
        }
        if failures.len() >= REMEMBERED {
            let oldest = failures.iter().min_by_key(|(_, (began, _))| *began).map(|(key, _)| key.clone());
            oldest.and_then(|key| failures.remove(&key));
        }
        for key in [by_name(username), by_source(source)] {
            let (began, count) = failures.entry(key).or_insert((now, 0));
            if *began + WINDOW <= now {
                (*began, *count) = (now, 0);
            }
            *count += 1;
        }
    }
}

fn by_name(username: &str) -> String {
    format!("name {}", username.chars().take(100).collect::<String>())
}

fn by_source(source: IpAddr) -> String {
    format!("address {source}")
}
