//! The WASI that language runtimes need to start: no files, no environment, no network. What a guest prints is kept in
//! part, for error messages. For pure guests time stands still and randomness repeats, so that they cannot tell two calls apart.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiView, async_trait};

const STDERR_TAIL: usize = 1_000;

const SEED: [u8; 16] = [0x9e, 0x37, 0x79, 0xb9, 0x7f, 0x4a, 0x7c, 0x15, 0x25, 0x45, 0xf4, 0x91, 0x4f, 0x6c, 0xdd, 0x1d];

/// The WASI side of one store.
pub struct Inert {
    /// the context that `WasiView` hands out
    pub ctx: WasiCtx,
    /// handles of that context
    pub table: ResourceTable,
    stderr: Tail,
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
        let stderr = Tail::default();
        let mut builder = WasiCtxBuilder::new();
        builder.stderr(stderr.clone()).max_random_size(64 << 10);
        if senses == Senses::Numb {
            builder
                .wall_clock(Still)
                .monotonic_clock(Still)
                .secure_random(Deterministic::new(SEED.to_vec()))
                .insecure_random(Deterministic::new(SEED.to_vec()))
                .insecure_random_seed(7);
        }
        Self { ctx: builder.build(), table: ResourceTable::new(), stderr }
    }

    /// The end of what the guest printed to standard error since the last `forget`, without control characters.
    pub fn stderr_tail(&self) -> String {
        let bytes: Vec<u8> = self.stderr.bytes().iter().copied().collect();
        String::from_utf8_lossy(&bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }

    /// Drops what was printed, between two calls.
    pub fn forget(&self) {
        self.stderr.bytes().clear();
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
