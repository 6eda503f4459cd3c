//! Chance for picking and for order: fast, shared, and no secret (splitmix64, Steele, Lea and Flood 2014).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A source of numbers that nobody needs to be unable to guess.
pub(super) struct Random(AtomicU64);

impl Random {
    /// One that begins at `seed`.
    pub(super) fn new(seed: [u8; 8]) -> Self {
        Self(AtomicU64::new(u64::from_le_bytes(seed)))
    }

    /// A number of 64 bits.
    pub(super) fn next(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(STEP, Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, or 0.
    pub(super) fn below(&self, bound: u64) -> u64 {
        let scaled = (u128::from(self.next()) * u128::from(bound)) >> 64;
        u64::try_from(scaled).unwrap_or(0)
    }

    /// Puts a list in random order (Fisher and Yates).
    pub(super) fn shuffle<T>(&self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let other = self.below(u64::try_from(last + 1).unwrap_or(u64::MAX));
            list.swap(last, usize::try_from(other).unwrap_or(last));
        }
    }
}
