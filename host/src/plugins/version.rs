//! One version of a plugin that can be called: its compiled component linked for its kind, and its limits.
//!
//! A caller holds the version it began with, so that a swap never touches a call under way. An instance is nobody's but the call's
//! while it runs, and comes back only from a call that went well: whatever else happens drops it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;
use wasmtime::component::{Component, Instance, InstancePre, Linker};
use wasmtime::{Engine, Store, UpdateDeadline};

use crate::wasm::call::{Fault, classify};
use crate::wasm::engine;
use crate::wasm::limits::Limits;
use crate::wasm::pulse::Until;
use crate::wasm::workers;

use super::grants::Grants;
use super::host_api::{self, Ctx, Services};
use super::kinds::Guest;
use super::kinds::lifecycle::Lifecycle;
use super::rollout::Life;
use super::share::Share;
use super::stats::{Function, PluginStats, VersionStats};
use super::types::{CallError, Kind, PluginName};

/// Calls after which an instance is replaced by a fresh one.
const CALLS: u32 = 10_000;
/// How much later than the guest's deadline a call is given up from outside.
const GRACE: Duration = Duration::from_millis(50);
/// How long an instance is kept that no call needs.
const KEPT: Duration = Duration::from_secs(60);
/// What a call is told when its version was replaced and its time to finish is over.
const OVER: &str = "it was ended: its version was replaced, and the time to finish was over";

/// One instance.
pub(super) struct Live {
    pub(super) store: Store<Ctx>,
    pub(super) lifecycle: Lifecycle,
    pub(super) guest: Guest,
    calls: u32,
}

/// An instance that waits for its next call, and its place among all that do.
struct Idle {
    live: Live,
    since: Instant,
    _place: OwnedSemaphorePermit,
}

/// A call into an instance that may wait.
pub(super) type IoCall<R> = Box<dyn for<'a> FnOnce(&'a mut Live) -> BoxFuture<'a, wasmtime::Result<R>> + Send>;

/// What all versions of one plugin have in common.
#[derive(Clone)]
pub(super) struct Own {
    pub(super) name: PluginName,
    pub(super) share: Arc<Share>,
    pub(super) stats: Arc<PluginStats>,
}

impl Own {
    pub(super) fn new(name: PluginName, threads: usize) -> Self {
        Self { name, share: Arc::new(Share::new(threads)), stats: Arc::default() }
    }

    /// The same plugin with a share beside its own, for one call at a time.
    fn apart(&self) -> Self {
        Self { share: Arc::new(Share::new(1)), ..self.clone() }
    }
}

/// One version of a plugin.
#[derive(Clone)]
pub(super) struct Version(Arc<Inner>, Option<Arc<Meter>>);

/// How long the last call took in the guest, without the time that it waited for its turn.
#[derive(Debug, Default)]
pub(super) struct Meter(AtomicU64);

impl Meter {
    fn note(&self, took: Duration) {
        self.0.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Nothing, when no call got to run.
    pub(super) fn took(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

struct Inner {
    own: Own,
    kind: Kind,
    pre: InstancePre<Ctx>,
    limits: Limits,
    grants: Arc<Grants>,
    services: Arc<Services>,
    stats: Arc<VersionStats>,
    idle: Mutex<Vec<Idle>>,
    resting: AtomicBool,
    life: Arc<Life>,
}

impl Version {
    /// Links a component for its kind.
    pub(super) fn link(
        own: &Own,
        kind: Kind,
        component: &Component,
        grants: &Arc<Grants>,
        services: &Arc<Services>,
    ) -> anyhow::Result<Self> {
        let engine: &Engine = component.engine();
        let mut linker = Linker::new(engine);
        host_api::link(&mut linker, kind).map_err(engine::told)?;
        let pre = linker.instantiate_pre(component).map_err(engine::told)?;
        Ok(Self::new(own, kind, pre, grants, services, Arc::default()))
    }

    /// The same version under other grants.
    pub(super) fn regrant(&self, grants: &Arc<Grants>) -> Self {
        let Inner { own, kind, pre, services, stats, .. } = &*self.0;
        let version = Self::new(own, *kind, pre.clone(), grants, services, Arc::clone(stats));
        version.serve(!self.0.resting.load(Ordering::Relaxed));
        version
    }

    /// The same version with a share and counts of its own: nobody waits for what runs there, and it is counted nowhere else.
    pub(super) fn apart(&self) -> Self {
        let Inner { own, kind, pre, grants, services, .. } = &*self.0;
        Self::new(&own.apart(), *kind, pre.clone(), grants, services, Arc::default())
    }

    /// The same version, with the time of calls noted.
    pub(super) fn metered(&self, meter: &Arc<Meter>) -> Self {
        Self(Arc::clone(&self.0), Some(Arc::clone(meter)))
    }

    /// Its calls under way.
    pub(super) fn life(&self) -> &Life {
        &self.0.life
    }

    fn new(
        own: &Own,
        kind: Kind,
        pre: InstancePre<Ctx>,
        grants: &Arc<Grants>,
        services: &Arc<Services>,
        stats: Arc<VersionStats>,
    ) -> Self {
        let inner = Inner {
            own: own.clone(),
            kind,
            pre,
            limits: grants.limits(services.defaults),
            grants: Arc::clone(grants),
            services: Arc::clone(services),
            stats,
            idle: Mutex::default(),
            resting: AtomicBool::new(false),
            life: Arc::default(),
        };
        Self(Arc::new(inner), None)
    }

    pub(super) fn name(&self) -> &PluginName {
        &self.0.own.name
    }

    pub(super) fn kind(&self) -> Kind {
        self.0.kind
    }

    pub(super) fn stats(&self) -> &Arc<VersionStats> {
        &self.0.stats
    }

    /// Whether it serves: one that does not keeps no instances.
    pub(super) fn serve(&self, serves: bool) {
        self.0.resting.store(!serves, Ordering::Relaxed);
        if !serves {
            let kept = std::mem::take(&mut *self.0.idle());
            drop(kept);
        }
    }

    /// Drops instances that no call has needed for a while.
    pub(super) fn trim(&self) {
        self.0.idle().retain(|idle| idle.since.elapsed() < KEPT);
    }

    /// Runs a call that only computes, on a thread for such calls.
    pub(super) async fn pure<R: Send + 'static>(
        &self,
        function: Function,
        call: impl FnOnce(&mut Live) -> wasmtime::Result<R> + Send + 'static,
    ) -> Result<R, CallError> {
        let under_way = self.0.life.enter();
        let (asked, patience) = (Instant::now(), self.0.patience());
        // Looked at when patience is at its end: whoever asked is woken for the answer alone.
        let begun = Arc::new(OnceLock::new());
        let (version, span, begin) = (self.clone(), tracing::Span::current(), Arc::clone(&begun));
        let mut running = pin!(self.0.services.workers.run(&self.0.own.share.pure, move || {
            let late = version.0.services.pulse.after(version.0.limits.deadline + GRACE);
            let (began, _) = begin.get_or_init(|| (Instant::now(), late));
            version.0.stats.waited(function, began.duration_since(asked));
            let answer = span.in_scope(|| version.call_now(function, call));
            drop(under_way);
            answer
        }));
        let mut until = patience;
        loop {
            tokio::select! {
                biased;
                answer = &mut running => return Ok(answer??),
                () = until.wait() => {}
            }
            match begun.get() {
                None => return Err(CallError::Busy),
                // The guest is interrupted at its deadline; this is for a host function that does not come back.
                Some((began, late)) if late.is_past() => {
                    self.took(began.elapsed());
                    return Err(CallError::Timeout);
                }
                Some((_, late)) => until = late.clone(),
            }
        }
    }

    /// Runs a call that may wait. Each has an instance of its own, so that nothing leaks from one to the next; it is dropped when
    /// whoever asked goes away.
    pub(super) async fn io<R: Send + 'static>(&self, function: Function, call: IoCall<R>) -> Result<R, CallError> {
        let _under_way = self.0.life.enter();
        let asked = Instant::now();
        let _turn = self.0.own.share.turn(self.0.kind, &self.0.patience()).await?;
        self.0.stats.waited(function, asked.elapsed());
        let (began, late) = (Instant::now(), self.0.services.pulse.after(self.0.limits.deadline + GRACE));
        let inner = Arc::clone(&self.0);
        let work = async move { inner.call_waiting(call).await }.in_current_span();
        let answer = tokio::select! {
            biased;
            answer = self.0.services.reactor.run(&self.0.own.share.computing, work) => {
                answer.and_then(|answer| answer).map_err(CallError::from)
            }
            () = late.wait() => Err(CallError::Timeout),
            // A guest that waits for the host sees no epoch: its call is dropped from outside.
            () = self.0.life.over() => Err(CallError::Trap(OVER.to_owned())),
        };
        let took = began.elapsed();
        self.0.stats.ran(function, took);
        self.took(took);
        answer
    }

    fn call_now<R>(&self, function: Function, call: impl FnOnce(&mut Live) -> wasmtime::Result<R>) -> Result<R, Fault> {
        let began = Instant::now();
        let answer = self.0.call_here(call);
        let took = began.elapsed();
        self.0.stats.ran(function, took);
        self.took(took);
        answer
    }

    fn took(&self, took: Duration) {
        if let Some(meter) = &self.1 {
            meter.note(took);
        }
    }
}

impl Inner {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a call waits for its turn and a thread.
    fn patience(&self) -> Until {
        self.services.pulse.after(self.limits.deadline)
    }

    fn call_here<R>(&self, call: impl FnOnce(&mut Live) -> wasmtime::Result<R>) -> Result<R, Fault> {
        let kept = self.idle().pop();
        let mut live = match kept {
            Some(Idle { mut live, .. }) => {
                live.ready(&self.limits);
                live
            }
            None => self.instantiate()?,
        };
        let answer = call(&mut live);
        self.stats.reached(live.store.data().limiter.memory_bytes());
        match answer {
            Ok(answer) => {
                self.give_back(live);
                Ok(answer)
            }
            Err(error) => Err(self.fault(&error, &live.store)),
        }
    }

    /// The deadline of the call begins with the store: what a guest does when it is instantiated counts.
    fn instantiate(&self) -> Result<Live, Fault> {
        let mut store = self.store(UpdateDeadline::Continue);
        match self.pre.instantiate(&mut store).and_then(|instance| self.bind(&mut store, &instance)) {
            Ok((lifecycle, guest)) => Ok(Live { store, lifecycle, guest, calls: 1 }),
            Err(error) => Err(self.fault(&error, &store)),
        }
    }

    async fn call_waiting<R>(&self, call: IoCall<R>) -> Result<R, Fault> {
        let mut store = self.store(UpdateDeadline::Yield);
        let made = match self.pre.instantiate_async(&mut store).await {
            Ok(instance) => self.bind(&mut store, &instance),
            Err(error) => Err(error),
        };
        let (lifecycle, guest) = made.map_err(|error| self.fault(&error, &store))?;
        let mut live = Live { store, lifecycle, guest, calls: 1 };
        let answer = call(&mut live).await;
        self.stats.reached(live.store.data().limiter.memory_bytes());
        answer.map_err(|error| self.fault(&error, &live.store))
    }

    /// A fresh store. At each tick of the epoch it is asked whether the call must end; until then it does what `go_on` says.
    fn store(&self, go_on: fn(u64) -> UpdateDeadline) -> Store<Ctx> {
        let Self { own, kind, limits, grants, services, stats, .. } = self;
        let mut store = Store::new(self.pre.engine(), Ctx::new(own, *kind, *limits, grants, services, stats));
        store.limiter(|ctx| &mut ctx.limiter);
        store.set_hostcall_fuel(limits.hostcall_bytes);
        store.set_max_component_handles(limits.handles);
        let (life, pure) = (Arc::clone(&self.life), kind.is_pure());
        store.epoch_deadline_callback(move |mut store| {
            let ctx = store.data_mut();
            if pure {
                ctx.tick();
                workers::make_way();
            }
            let ends = ctx.reach.deadline.is_past() || life.is_over();
            Ok(if ends { UpdateDeadline::Interrupt } else { go_on(1) })
        });
        store.set_epoch_deadline(1);
        store
    }

    fn fault(&self, error: &wasmtime::Error, store: &Store<Ctx>) -> Fault {
        let ctx = store.data();
        match classify(error, ctx.limiter.denied(), &ctx.stderr_tail()) {
            Fault::Timeout if self.life.is_over() => Fault::Trap(OVER.to_owned()),
            // It did not run for its deadline, it hardly ran: the machine had no time for it.
            Fault::Timeout if self.kind.is_pure() && ctx.worked() * 10 < self.limits.deadline => Fault::Busy,
            fault => fault,
        }
    }

    fn bind(&self, store: &mut Store<Ctx>, instance: &Instance) -> wasmtime::Result<(Lifecycle, Guest)> {
        Ok((Lifecycle::bind(self.kind.is_pure(), store, instance)?, Guest::bind(self.kind, store, instance)?))
    }

    /// Keeps an instance for the next call unless it has grown old or large, or there is no room for it.
    fn give_back(&self, live: Live) {
        let large = live.store.data().limiter.memory_bytes() > self.limits.memory_bytes / 5 * 4;
        if large || live.calls >= CALLS || self.services.budget.is_tight() {
            return;
        }
        let Ok(place) = Arc::clone(&self.services.kept).try_acquire_owned() else { return };
        let mut idle = self.idle();
        // Looked at with the lock held: what comes back after a version was laid to rest would be kept for as long as the version is.
        if !self.resting.load(Ordering::Relaxed) && idle.len() < self.own.share.kept() {
            idle.push(Idle { live, since: Instant::now(), _place: place });
        }
    }
}

impl Live {
    fn ready(&mut self, limits: &Limits) {
        self.calls += 1;
        // The deadline counts anew, and is looked at from the next tick on.
        self.store.set_epoch_deadline(1);
        self.store.set_hostcall_fuel(limits.hostcall_bytes);
        self.store.data_mut().renew(limits);
    }
}
