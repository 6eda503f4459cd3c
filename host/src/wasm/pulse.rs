//! Time as calls live it: ticks that a thread counts. A process that was suspended counts none meanwhile, so that what was under
//! way then is not late all at once. Deadlines of guests are counted in these ticks alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use wasmtime::Engine;

/// How often the epoch of the engines advances.
pub const TICK: Duration = Duration::from_millis(10);

/// Most ticks that are made up for when their thread comes late.
const MADE_UP: u64 = 4;

/// The ticks so far. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicU64>);

/// A moment by a pulse.
#[derive(Clone, Debug)]
pub struct Until {
    pulse: Pulse,
    at: u64,
}

impl Pulse {
    /// Starts a pulse that advances the epochs of these engines too. It ends when the sender is dropped.
    pub fn start(engines: &[&Engine]) -> anyhow::Result<(Self, Sender<()>)> {
        let (stop, stopped) = channel::<()>();
        let engines: Vec<_> = engines.iter().map(|engine| engine.weak()).collect();
        let pulse = Self::default();
        let own = pulse.clone();
        let beat = move || {
            let mut last = Instant::now();
            while matches!(stopped.recv_timeout(TICK), Err(RecvTimeoutError::Timeout)) {
                let now = Instant::now();
                let passed = ticks_in(now.duration_since(last));
                last = now;
                own.0.fetch_add(passed, Ordering::Relaxed);
                for engine in engines.iter().filter_map(wasmtime::EngineWeak::upgrade) {
                    (0..passed).for_each(|_| engine.increment_epoch());
                }
            }
        };
        std::thread::Builder::new().name("wasm-pulse".to_owned()).spawn(beat).context("could not start the pulse")?;
        Ok((pulse, stop))
    }

    /// The moment that comes after `by`.
    pub fn after(&self, by: Duration) -> Until {
        Until { pulse: self.clone(), at: self.now().saturating_add(ticks(by)) }
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Until {
    /// How long it is until then; nothing when it is past.
    pub fn remaining(&self) -> Duration {
        let ticks = self.at.saturating_sub(self.pulse.now());
        TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
    }

    /// Whether it is past.
    pub fn is_past(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Waits until then.
    pub async fn wait(&self) {
        // A sleep that was over while the process was suspended has not been lived through.
        loop {
            match self.remaining() {
                Duration::ZERO => return,
                left => tokio::time::sleep(left).await,
            }
        }
    }
}

/// How many ticks a duration is, at least two: one tick may be about to pass.
pub fn ticks(duration: Duration) -> u64 {
    let ticks = duration.as_millis().div_ceil(TICK.as_millis());
    u64::try_from(ticks).unwrap_or(u64::MAX / 4).clamp(2, u64::MAX / 4)
}

/// How many ticks count for the time since the last.
fn ticks_in(passed: Duration) -> u64 {
    u64::try_from(passed.as_millis() / TICK.as_millis()).unwrap_or(MADE_UP).clamp(1, MADE_UP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspended_process_counts_no_ticks() {
        assert_eq!(ticks_in(Duration::from_millis(10)), 1);
        assert_eq!(ticks_in(Duration::from_millis(31)), 3, "a thread that came late makes up for it");
        assert_eq!(ticks_in(Duration::from_secs(3_600)), MADE_UP);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_goes_by_the_pulse_and_not_by_the_clock() {
        let pulse = Pulse::default();
        let until = pulse.after(Duration::from_secs(1));
        let late = tokio::time::timeout(Duration::from_secs(3_600), until.wait()).await;
        assert!(late.is_err(), "an hour by the clock is nothing when the pulse stood still");
        pulse.0.fetch_add(100, Ordering::Relaxed);
        assert!(until.is_past());
        until.wait().await;
    }
}
