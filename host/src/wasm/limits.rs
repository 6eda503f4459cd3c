//! What one instance may use, and all of them together. The engine counts memory per memory; this limiter adds up all of a store.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use wasmtime::{ResourceLimiter, StoreLimits};

/// Limits of one instance and its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// all linear memories together
    pub memory_bytes: usize,
    /// entries of all tables together
    pub table_elements: usize,
    /// time for one call, instantiation included
    pub deadline: Duration,
    /// bytes that one call may hand to the host, results included
    pub hostcall_bytes: usize,
    /// how often one call may ask something of the host
    pub hostcalls: u32,
    /// resource handles alive at once
    pub handles: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            table_elements: 200_000,
            deadline: Duration::from_secs(2),
            hostcall_bytes: 32 << 20,
            hostcalls: 100_000,
            handles: 1_000,
        }
    }
}

/// The memory that all instances may have together. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Pot>);

#[derive(Debug)]
struct Pot {
    most: usize,
    used: AtomicUsize,
}

impl Budget {
    /// So many bytes.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Pot { most, used: AtomicUsize::new(0) }))
    }

    /// The bytes that there are.
    pub fn most(&self) -> usize {
        self.0.most
    }

    /// The bytes that are in use.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Whether so much is in use that nothing should be kept that no call needs.
    pub fn is_tight(&self) -> bool {
        self.used() > self.most() / 4 * 3
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.0.most);
        self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn give(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// More than the instance may have, in words.
    Own(&'static str),
    /// More than the host has left for all.
    Host,
}

/// Counts what a store has taken and refuses more than its limits.
#[derive(Debug)]
pub struct Limiter {
    limits: Limits,
    budget: Budget,
    memory_bytes: usize,
    table_elements: usize,
    denied: Option<Denied>,
}

impl Limiter {
    /// A limiter for one fresh store.
    pub fn new(limits: Limits, budget: &Budget) -> Self {
        let budget = budget.clone();
        Self { limits, budget, memory_bytes: 0, table_elements: 0, denied: None }
    }

    /// Bytes of linear memory in use; linear memory never shrinks, so this is the high-water mark too.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// The first thing that was refused.
    pub fn denied(&self) -> Option<Denied> {
        self.denied
    }

    /// Forgets what was refused, between two calls.
    pub fn forget(&mut self) {
        self.denied = None;
    }

    /// Takes note that something was refused elsewhere.
    pub fn deny(&mut self, what: Denied) {
        self.denied.get_or_insert(what);
    }

    fn refuse(&mut self, what: Denied) -> bool {
        self.deny(what);
        false
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.budget.give(self.memory_bytes);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let total = self.memory_bytes.saturating_add(growth);
        if total > self.limits.memory_bytes || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(self.refuse(Denied::Own("it wanted more memory than it is granted")));
        }
        if !self.budget.take(growth) {
            return Ok(self.refuse(Denied::Host));
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > self.limits.table_elements || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(self.refuse(Denied::Own("it wanted larger tables than are allowed")));
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        StoreLimits::default().instances()
    }

    fn tables(&self) -> usize {
        StoreLimits::default().tables()
    }

    fn memories(&self) -> usize {
        StoreLimits::default().memories()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(memory_bytes: usize, budget: &Budget) -> Limiter {
        Limiter::new(Limits { memory_bytes, ..Limits::default() }, budget)
    }

    #[test]
    fn memory_of_all_memories_counts_together() {
        let mut limiter = limiter(1000, &Budget::new(10_000));
        assert!(limiter.memory_growing(0, 600, None).unwrap());
        assert!(limiter.memory_growing(0, 400, None).unwrap());
        assert!(!limiter.memory_growing(400, 401, None).unwrap());
        assert_eq!(limiter.memory_bytes(), 1000);
        assert!(matches!(limiter.denied(), Some(Denied::Own(_))));
    }

    #[test]
    fn all_instances_together_have_a_budget_and_give_it_back() {
        let budget = Budget::new(1000);
        let (mut one, mut other) = (limiter(800, &budget), limiter(800, &budget));
        assert!(one.memory_growing(0, 700, None).unwrap());
        assert!(!other.memory_growing(0, 400, None).unwrap());
        assert_eq!((other.denied(), budget.used()), (Some(Denied::Host), 700));
        drop(one);
        assert!(other.memory_growing(0, 400, None).unwrap());
        assert_eq!(budget.used(), 400);
    }
}
