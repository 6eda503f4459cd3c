//! What reads bytes from outside, driven with inputs that nobody would send. A target is a function that panics when a law is broken;
//! tests drive each for a while, the program `fuzz` for as long as one likes, and `tests/fuzz` is for whoever has `cargo fuzz`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
    time::Duration,
};

use looma::{
    clock::{Clock, Timestamp},
    plugins::{EvalContext, Kv, PluginName, PluginSettings, Plugins, Secrets, SeriesBatch, Source, Verdicts},
    wasm::{compile::Compiler, engine::Slots, limits::Limits},
};
use tokio::runtime::Runtime;

use crate::guests::{CallPath, Guest};

mod chance;
mod host_calls;
mod packets;
mod stage;
mod urls;
mod verdicts;

pub use chance::Chance;

/// Something to drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A component's bytes, on their way into service.
    Stage,
    /// An evaluator's columns, as its memory has them.
    Verdicts,
    /// A URL, before the grants.
    Urls,
    /// What guests ask of the host.
    HostCalls,
    /// Packets of DNS.
    Packets,
}

impl Target {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Stage, Self::Verdicts, Self::Urls, Self::HostCalls, Self::Packets];

    /// As the command line has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Verdicts => "verdicts",
            Self::Urls => "urls",
            Self::HostCalls => "host-calls",
            Self::Packets => "packets",
        }
    }

    /// Makes an input: by chance, or of a good one that is damaged.
    pub fn input(self, chance: &mut Chance) -> Vec<u8> {
        match self {
            Self::Stage => stage::input(chance),
            Self::Verdicts => verdicts::input(chance),
            Self::Urls => urls::input(chance),
            Self::HostCalls => host_calls::input(chance),
            Self::Packets => packets::input(chance),
        }
    }

    /// Tries one input; panics when a law is broken.
    pub fn check(self, input: &[u8]) {
        // What needs no plugin host starts none.
        let bench = Bench::shared;
        match self {
            Self::Stage => bench().runtime.block_on(stage::check(bench(), input)),
            Self::Verdicts => bench().runtime.block_on(verdicts::check(bench(), input)),
            Self::Urls => urls::check(input),
            Self::HostCalls => bench().runtime.block_on(host_calls::check(bench(), input)),
            Self::Packets => packets::check(input),
        }
    }

    /// Tries inputs until `more` says that it is enough. Gives the input that broke a law, if one did.
    pub fn drive(self, seed: u64, mut more: impl FnMut(u64) -> bool) -> Result<u64, Vec<u8>> {
        let (mut chance, mut tried) = (Chance::new(seed), 0);
        while more(tried) {
            let input = self.input(&mut chance);
            catch_unwind(AssertUnwindSafe(|| self.check(&input))).map_err(|_| input)?;
            tried += 1;
        }
        Ok(tried)
    }
}

/// A plugin host without a server around it.
pub(crate) struct Bench {
    runtime: Runtime,
    plugins: Plugins,
    _cache: tempfile::TempDir,
}

impl Bench {
    fn shared() -> &'static Self {
        static BENCH: OnceLock<Bench> = OnceLock::new();
        BENCH.get_or_init(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let runtime = Runtime::new().expect("a runtime starts");
            let entered = runtime.enter();
            let cache = tempfile::tempdir().expect("a folder is made");
            let plugins = Plugins::start(PluginSettings {
                cache: cache.path().to_owned(),
                fresh_key: [7; 32],
                compiler: Compiler::InProcess,
                clock: Clock::manual(Timestamp::parse("2026-01-01T00:00:00Z").expect("that is a time")).0,
                secrets: Secrets::default(),
                kv: Kv::default(),
                slots: Slots { pure: 16, io: 16 },
                threads: 4,
                memory_bytes: 1 << 30,
                max_bytes: 4 << 20,
                limits: Limits { deadline: Duration::from_secs(2), memory_bytes: 16 << 20, ..Limits::default() },
            });
            drop(entered);
            let bench = Self { runtime, plugins: plugins.expect("the host starts"), _cache: cache };
            bench.runtime.block_on(async {
                bench.bring("puppet", CallPath::Pure).await;
                for guest in ["fetch", "keys", "connect", "lookup"] {
                    bench.bring(guest, CallPath::Io).await;
                }
            });
            host_calls::grant(&bench);
            bench
        })
    }

    async fn bring(&self, guest: &str, path: CallPath) {
        let component = Guest::read(guest).component(path, guest);
        self.plugins.load(&name(guest), component.into(), Source::Upload).await.expect("the guest is taken");
    }

    /// Asks for a verdict on three series, the first of which has all the values.
    async fn evaluate(
        &self,
        plugin: &str,
        config: &str,
        values: Vec<f64>,
    ) -> Result<Verdicts, looma::plugins::CallError> {
        let points = u32::try_from(values.len()).expect("few values");
        let batch = SeriesBatch {
            ids: vec![1, 2, 3],
            offsets: vec![0, points, points, points],
            times: vec![0; values.len()],
            values,
            labels: Vec::new(),
        };
        let context = EvalContext { now_ms: 0, interval_ms: 1_000, config: config.to_owned() };
        let done = self.plugins.evaluate(&name(plugin), context, Arc::new(batch), None).await;
        done.map(|evaluated| evaluated.verdicts)
    }

    /// A plugin that behaves answers as ever.
    async fn assert_well(&self) {
        let honest = self.evaluate("puppet", "{}", vec![4.0, 5.0, 6.0]).await.expect("an honest call is answered");
        assert_eq!((honest.levels, honest.scores), (vec![0, 0, 0], vec![4.0, 5.0, 6.0]));
    }
}

fn name(text: &str) -> PluginName {
    text.parse().expect("that is a name")
}
