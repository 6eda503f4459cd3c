//! The WASI that language runtimes need to start: no files, no environment, no network. What a guest prints is kept in
//! part, for error messages. For pure guests time stands still and randomness repeats, so that they cannot tell two calls apart.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use rand_core::TryRng;
use tokio::io::AsyncWrite;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiView, async_trait};

const STDERR_TAIL: usize = 1_000;

/// The WASI side of one store.
pub struct Inert {
    /// the context that `WasiView` hands out
    pub ctx: WasiCtx,
    /// handles of that context
    pub table: ResourceTable,
    stderr: Tail,
    chance: Repeating,
}

/// Whether a guest may see that time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Senses {
    /// time stands still, randomness is seeded
    Numb,
    /// the real clock and real randomness
    Awake,
}

impl Inert {
    /// A fresh context that grants nothing.
    pub fn new(senses: Senses) -> Self {
        let (stderr, chance) = (Tail::default(), Repeating::default());
        let mut builder = WasiCtxBuilder::new();
        builder.stderr(stderr.clone()).max_random_size(64 << 10);
        if senses == Senses::Numb {
            builder
                .wall_clock(Still)
                .monotonic_clock(Still)
                .secure_random(chance.clone())
                .insecure_random(chance.clone())
                .insecure_random_seed(7);
        }
        Self { ctx: builder.build(), table: ResourceTable::new(), stderr, chance }
    }

    /// The end of what the guest printed to standard error since the last `forget`, without control characters.
    pub fn stderr_tail(&self) -> String {
        let bytes: Vec<u8> = self.stderr.bytes().iter().copied().collect();
        String::from_utf8_lossy(&bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }

    /// Drops what was printed, and begins seeded randomness anew, between two calls.
    pub fn forget(&self) {
        self.stderr.bytes().clear();
        self.chance.0.store(0, Ordering::Relaxed);
    }
}

/// Links WASI for guests that compute. Whatever could wait traps instead.
pub fn link_pure<T: WasiView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    for (interface, function) in [
        ("wasi:io/poll@0.2.12", "poll"),
        ("wasi:io/poll@0.2.12", "[method]pollable.block"),
        ("wasi:clocks/monotonic-clock@0.2.12", "subscribe-duration"),
        ("wasi:clocks/monotonic-clock@0.2.12", "subscribe-instant"),
    ] {
        linker.instance(interface)?.func_new(function, move |_, _, _, _| {
            Err(wasmtime::Error::msg(format!("{function} waits, and a plugin of this kind must not")))
        })?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

/// Links WASI for guests that may wait.
pub fn link_io<T: WasiView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)
}

struct Still;

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Still {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

/// Randomness that is the same in each call, by SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Clone, Default)]
struct Repeating(Arc<AtomicU64>);

impl TryRng for Repeating {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(mixed ^ (mixed >> 31))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for some in bytes.chunks_mut(8) {
            let more = self.try_next_u64()?.to_le_bytes();
            some.copy_from_slice(&more[..some.len()]);
        }
        Ok(())
    }
}

/// The last bytes that were written, whoever asks for them. Writing never fails and never waits.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    fn bytes(&self) -> std::sync::MutexGuard<'_, VecDeque<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, written: &[u8]) {
        let mut bytes = self.bytes();
        bytes.extend(&written[written.len().saturating_sub(STDERR_TAIL)..]);
        let excess = bytes.len().saturating_sub(STDERR_TAIL);
        bytes.drain(..excess);
    }
}

impl IsTerminal for Tail {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Tail {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Tail {
    async fn ready(&mut self) {}
}

impl OutputStream for Tail {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.keep(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

impl AsyncWrite for Tail {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, written: &[u8]) -> Poll<std::io::Result<usize>> {
        self.keep(written);
        Poll::Ready(Ok(written.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
