//! One version of a plugin that can be called: its compiled component linked for its kind, its limits and its share.
//!
//! A caller holds the version it began with, so that a swap never touches a call under way. An instance whose call failed
//! is dropped, never used again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{Component, Instance, InstancePre, Linker};
use wasmtime::{Engine, Store, UpdateDeadline};

use crate::wasm::call::{Fault, classify};
use crate::wasm::engine::{self, ticks};
use crate::wasm::limits::Limits;

use super::grants::Grants;
use super::host_api::{self, Ctx, Services};
use super::kinds::Guest;
use super::kinds::lifecycle::Lifecycle;
use super::types::{CallError, Kind, PluginName};

/// Calls after which an instance is replaced by a fresh one.
const CALLS: u32 = 10_000;
/// Calls that may wait for one plugin.
const WAITING: usize = 256;
/// How much later than the guest's deadline a call is given up from outside.
const GRACE: Duration = Duration::from_millis(50);

/// One instance.
pub(super) struct Live {
    pub(super) store: Store<Ctx>,
    pub(super) lifecycle: Lifecycle,
    pub(super) guest: Guest,
    calls: u32,
}

/// A call into an instance that may wait.
pub(super) type IoCall<R> = Box<dyn for<'a> FnOnce(&'a mut Live) -> BoxFuture<'a, wasmtime::Result<R>> + Send>;

/// One version of a plugin.
#[derive(Clone)]
pub(super) struct Version(Arc<Inner>);

struct Inner {
    name: PluginName,
    kind: Kind,
    pre: InstancePre<Ctx>,
    limits: Limits,
    grants: Arc<Grants>,
    services: Arc<Services>,
    idle: Mutex<Vec<Live>>,
    share: usize,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Version {
    /// Links a component for its kind.
    pub(super) fn link(
        name: &PluginName,
        kind: Kind,
        engine: &Engine,
        component: &Component,
        grants: &Arc<Grants>,
        services: &Arc<Services>,
    ) -> anyhow::Result<Self> {
        let mut linker = Linker::new(engine);
        host_api::link(&mut linker, kind).map_err(engine::told)?;
        let pre = linker.instantiate_pre(component).map_err(engine::told)?;
        Ok(Self::new(name.clone(), kind, pre, Arc::clone(grants), Arc::clone(services)))
    }

    /// The same version under other grants.
    pub(super) fn regrant(&self, grants: &Arc<Grants>) -> Self {
        let Inner { name, kind, pre, services, .. } = &*self.0;
        Self::new(name.clone(), *kind, pre.clone(), Arc::clone(grants), Arc::clone(services))
    }

    fn new(name: PluginName, kind: Kind, pre: InstancePre<Ctx>, grants: Arc<Grants>, services: Arc<Services>) -> Self {
        let share = share(kind);
        Self(Arc::new(Inner {
            name,
            kind,
            pre,
            limits: grants.limits(services.defaults),
            grants,
            services,
            idle: Mutex::default(),
            share,
            permits: Arc::new(Semaphore::new(share)),
            waiting: AtomicUsize::new(0),
        }))
    }

    pub(super) fn name(&self) -> &PluginName {
        &self.0.name
    }

    pub(super) fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Runs a call that only computes, on a thread for such calls.
    pub(super) async fn pure<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Live) -> wasmtime::Result<R> + Send + 'static,
    ) -> Result<R, CallError> {
        let permit = self.permit().await?;
        let inner = Arc::clone(&self.0);
        let answer = self.0.services.workers.run(move || {
            let answer = inner.call_now(call);
            drop(permit);
            answer
        });
        Ok(answer.await??)
    }

    /// Runs a call that may wait. Each has an instance of its own, so that nothing leaks from one to the next.
    pub(super) async fn io<R: Send + 'static>(&self, call: IoCall<R>) -> Result<R, CallError> {
        let _permit = self.permit().await?;
        let run = self.0.call_waiting(call);
        match tokio::time::timeout(self.0.limits.deadline + GRACE, run).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(CallError::Timeout),
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, CallError> {
        let permits = Arc::clone(&self.0.permits);
        if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = Place::take(&self.0.waiting).ok_or(CallError::Busy)?;
        match tokio::time::timeout(self.0.limits.deadline, permits.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(CallError::Busy),
        }
    }
}

/// Instances of one plugin that can run at once. It is less than there are threads and slots, so that none takes them all.
fn share(kind: Kind) -> usize {
    match kind {
        Kind::Notifier => 32,
        Kind::DiscoveryStrategy => 8,
        _ => std::thread::available_parallelism().map_or(2, usize::from).max(2),
    }
}

/// A place among those who wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        // The place is given back by `drop` when there was none left.
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    fn call_now<R>(&self, call: impl FnOnce(&mut Live) -> wasmtime::Result<R>) -> Result<R, Fault> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut live = match idle {
            Some(live) => live,
            None => self.instantiate()?,
        };
        live.store.set_epoch_deadline(ticks(self.limits.deadline));
        live.ready(&self.limits);
        match call(&mut live) {
            Ok(answer) => {
                self.give_back(live);
                Ok(answer)
            }
            Err(error) => Err(fault(&error, &live.store)),
        }
    }

    fn instantiate(&self) -> Result<Live, Fault> {
        let mut store = self.store();
        store.epoch_deadline_trap();
        store.set_epoch_deadline(ticks(self.limits.deadline));
        match self.pre.instantiate(&mut store).and_then(|instance| self.bind(&mut store, &instance)) {
            Ok((lifecycle, guest)) => Ok(Live { store, lifecycle, guest, calls: 0 }),
            Err(error) => Err(fault(&error, &store)),
        }
    }

    async fn call_waiting<R>(&self, call: IoCall<R>) -> Result<R, Fault> {
        let mut store = self.store();
        store.epoch_deadline_callback(|store| {
            Ok(match Instant::now() >= store.data().reach.deadline {
                true => UpdateDeadline::Interrupt,
                false => UpdateDeadline::Yield(1),
            })
        });
        store.set_epoch_deadline(1);
        let made = match self.pre.instantiate_async(&mut store).await {
            Ok(instance) => self.bind(&mut store, &instance),
            Err(error) => Err(error),
        };
        let (lifecycle, guest) = made.map_err(|error| fault(&error, &store))?;
        let mut live = Live { store, lifecycle, guest, calls: 0 };
        live.ready(&self.limits);
        match call(&mut live).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(fault(&error, &live.store)),
        }
    }

    fn store(&self) -> Store<Ctx> {
        let Self { name, kind, limits, grants, services, .. } = self;
        let mut store = Store::new(self.pre.engine(), Ctx::new(name, *kind, *limits, grants, services));
        store.limiter(|ctx| &mut ctx.limiter);
        store.set_hostcall_fuel(limits.hostcall_bytes);
        store.set_max_component_handles(limits.handles);
        store
    }

    fn bind(&self, store: &mut Store<Ctx>, instance: &Instance) -> wasmtime::Result<(Lifecycle, Guest)> {
        Ok((Lifecycle::bind(self.kind.is_pure(), store, instance)?, Guest::bind(self.kind, store, instance)?))
    }

    /// Keeps an instance for the next call unless it has grown old or large.
    fn give_back(&self, live: Live) {
        let large = live.store.data().limiter.memory_bytes() > self.limits.memory_bytes / 5 * 4;
        if large || live.calls >= CALLS {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.share {
            idle.push(live);
        }
    }
}

impl Live {
    fn ready(&mut self, limits: &Limits) {
        self.calls += 1;
        self.store.set_hostcall_fuel(limits.hostcall_bytes);
        self.store.data_mut().renew(limits.deadline);
    }
}

fn fault(error: &wasmtime::Error, store: &Store<Ctx>) -> Fault {
    let ctx = store.data();
    classify(error, ctx.limiter.denied(), &ctx.stderr_tail())
}
