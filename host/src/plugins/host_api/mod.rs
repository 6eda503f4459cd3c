//! What plugins may ask of the host, a file an interface. A plugin has none of it unless its world imports it and, where it
//! reaches outside, an operator granted it. Secrets are named by plugins and never shown to them.

mod address;
mod clock;
mod http;
mod kv;
mod log;
mod mail;
mod names;
mod net;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::{WasiCtxView, WasiView};

use super::{
    bindings::looma::host as wit,
    contract::CONTRACT,
    grants::Grants,
    kv::Kv,
    mailer::Mailer,
    share::Share,
    stats::{Alive, Interface, PluginStats, VersionStats},
    types::{Kind, PluginName},
    version::Own,
};
use crate::{
    clock::Clock,
    secrets::Secrets,
    wasm::{
        call,
        limits::{Budget, Denied, Limiter, Limits},
        pulse::{Pulse, Until},
        reactor::Reactor,
        wasi::{self, Inert, Senses},
        workers::Workers,
    },
};

pub(super) use address::Pools;
pub(super) use http::HttpClients;
pub(super) use names::Names;

/// Lines that one call may log.
const LOG_LINES: u32 = 100;
/// Requests to the network and the key-value store that one call may make.
const REQUESTS: u32 = 1_000;

/// What all plugins' host functions share.
pub(super) struct Services {
    pub(super) clock: Clock,
    pub(super) workers: Workers,
    /// Where plugins with input and output run.
    pub(super) reactor: Reactor,
    /// The server's own threads: connections of its database are theirs.
    pub(super) home: tokio::runtime::Handle,
    /// What deadlines are counted by.
    pub(super) pulse: Pulse,
    /// The memory of all instances.
    pub(super) budget: Budget,
    /// Places for instances that wait for their next call.
    pub(super) kept: Arc<Semaphore>,
    /// The limits of an instance whose grants do not say.
    pub(super) defaults: Limits,
    pub(super) secrets: Secrets,
    pub(super) kv: Kv,
    pub(super) http: HttpClients,
    pub(super) pools: Pools,
    pub(super) mail: Mailer,
    pub(super) names: Names,
}

#[cfg(test)]
impl Services {
    /// Services with nothing behind them but memory, and deadlines that stand still.
    fn for_tests(clock: Clock) -> Self {
        let super::outside::Outside { mail, names, .. } = super::outside::Outside::none(&clock);
        Self {
            clock,
            workers: Workers::start(crate::wasm::workers::Threads { steady: 1, most: 1 }, 1).unwrap(),
            reactor: Reactor::start().unwrap(),
            home: tokio::runtime::Handle::current(),
            pulse: Pulse::default(),
            budget: Budget::new(1 << 20),
            kept: Arc::new(Semaphore::new(1)),
            defaults: Limits::default(),
            secrets: Secrets::default(),
            kv: Kv::default(),
            http: HttpClients::default(),
            pools: Pools::default(),
            mail,
            names,
        }
    }
}

/// Who asks, what it is granted, and how long it may take.
#[derive(Clone)]
pub(super) struct Reach {
    plugin: PluginName,
    grants: Arc<Grants>,
    services: Arc<Services>,
    share: Arc<Share>,
    stats: Arc<PluginStats>,
    /// When the call under way must be done.
    pub(super) deadline: Until,
}

impl Reach {
    fn remaining(&self) -> Duration {
        self.deadline.remaining()
    }

    /// Counts something that was denied.
    fn denied(&self, interface: Interface) {
        self.stats.denied(interface);
    }
}

/// What belongs to one instance.
pub(super) struct Ctx {
    pub(super) limiter: Limiter,
    pub(super) reach: Reach,
    wasi: Inert,
    hostcalls: u32,
    log_lines: u32,
    requests: u32,
    /// What its thread had had of a processor at the first tick of the call under way.
    worked_before: Option<Duration>,
    _alive: Alive,
}

impl Ctx {
    pub(super) fn new(
        own: &Own,
        kind: Kind,
        limits: Limits,
        grants: &Arc<Grants>,
        services: &Arc<Services>,
        stats: &Arc<VersionStats>,
    ) -> Self {
        let senses = if kind.is_pure() { Senses::Numb } else { Senses::Awake };
        let reach = Reach {
            plugin: own.name.clone(),
            grants: Arc::clone(grants),
            services: Arc::clone(services),
            share: Arc::clone(&own.share),
            stats: Arc::clone(&own.stats),
            deadline: services.pulse.after(limits.deadline),
        };
        Self {
            limiter: Limiter::new(limits, &services.budget),
            reach,
            wasi: Inert::new(senses),
            hostcalls: limits.hostcalls,
            log_lines: LOG_LINES,
            requests: REQUESTS,
            worked_before: None,
            _alive: Alive::begin(stats),
        }
    }

    /// Readies it for the next call.
    pub(super) fn renew(&mut self, limits: &Limits) {
        self.reach.deadline = self.reach.services.pulse.after(limits.deadline);
        self.hostcalls = limits.hostcalls;
        self.log_lines = LOG_LINES;
        self.requests = REQUESTS;
        self.worked_before = None;
        self.wasi.forget();
        self.limiter.forget();
    }

    /// Takes note that a tick passed while the guest ran. Most calls see none, and so never ask the system for the time.
    pub(super) fn tick(&mut self) {
        self.worked_before.get_or_insert_with(call::thread_time);
    }

    /// How much of a processor the call under way had since its first tick; for calls that stay on one thread.
    pub(super) fn worked(&self) -> Duration {
        self.worked_before.map_or(Duration::ZERO, |before| call::thread_time().saturating_sub(before))
    }

    /// The end of what the guest printed.
    pub(super) fn stderr_tail(&self) -> String {
        self.wasi.stderr_tail()
    }

    /// Counts something that is asked; a call that asks without end is ended.
    fn asked(&mut self, interface: Interface) -> wasmtime::Result<()> {
        self.reach.stats.asked(interface);
        if self.hostcalls == 0 {
            self.limiter.deny(Denied::Own("it asked the host too often in one call"));
            return Err(wasmtime::Error::msg("too many host calls"));
        }
        self.hostcalls -= 1;
        Ok(())
    }

    /// Takes one request off the call's share.
    fn take_request(&mut self) -> bool {
        let has = self.requests > 0;
        self.requests = self.requests.saturating_sub(1);
        has
    }
}

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi.ctx, table: &mut self.wasi.table }
    }
}

/// Links everything that a plugin of `kind` can import. What it may not import was refused before.
pub(super) fn link(linker: &mut Linker<Ctx>, kind: Kind) -> wasmtime::Result<()> {
    for types in CONTRACT.types {
        linker.instance(&format!("{types}@{}", CONTRACT.version))?;
    }
    wit::log::add_to_linker::<_, HasSelf<_>>(linker, |ctx| ctx)?;
    if kind.is_pure() {
        return wasi::link_pure(linker);
    }
    wasi::link_io(linker)?;
    wit::clock::add_to_linker::<_, HasSelf<_>>(linker, |ctx| ctx)?;
    wit::http::add_to_linker::<_, HasSelf<_>>(linker, |ctx| ctx)?;
    if kind == Kind::Notifier {
        return wit::mail::add_to_linker::<_, HasSelf<_>>(linker, |ctx| ctx);
    }
    wit::kv::add_to_linker::<_, HasSelf<_>>(linker, |ctx| ctx)?;
    wit::net::add_to_linker::<_, HasSelf<_>>(linker, |ctx| ctx)
}
