//! What one instance may use. The engine counts memory per memory; this limiter adds up all of a store.

use std::time::Duration;

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
            handles: 1_000,
        }
    }
}

/// Counts what a store has taken and refuses more than its limits.
#[derive(Debug)]
pub struct Limiter {
    limits: Limits,
    memory_bytes: usize,
    table_elements: usize,
    denied: Option<&'static str>,
}

impl Limiter {
    /// A limiter for one fresh store.
    pub fn new(limits: Limits) -> Self {
        Self { limits, memory_bytes: 0, table_elements: 0, denied: None }
    }

    /// Bytes of linear memory in use; linear memory never shrinks, so this is the high-water mark too.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// The first thing that was refused, in words.
    pub fn denied(&self) -> Option<&'static str> {
        self.denied
    }

    /// Forgets what was refused, between two calls.
    pub fn forget(&mut self) {
        self.denied = None;
    }

    fn deny(&mut self, what: &'static str) -> bool {
        self.denied.get_or_insert(what);
        false
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.limits.memory_bytes || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(self.deny("it wanted more memory than it is granted"));
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > self.limits.table_elements || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(self.deny("it wanted larger tables than are allowed"));
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

    #[test]
    fn memory_of_all_memories_counts_together() {
        let mut limiter = Limiter::new(Limits { memory_bytes: 1000, ..Limits::default() });
        assert!(limiter.memory_growing(0, 600, None).unwrap());
        assert!(limiter.memory_growing(0, 400, None).unwrap());
        assert!(!limiter.memory_growing(400, 401, None).unwrap());
        assert_eq!(limiter.memory_bytes(), 1000);
        assert!(limiter.denied().is_some());
    }
}
