//! The same components on wasmtime alone: an engine as it comes from its makers, with pooled instances and nothing that protects.

use std::sync::Arc;

use looma::plugins::SeriesBatch;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, HasSelf, Linker},
};

mod wit {
    wasmtime::component::bindgen!({
        path: ["../wit/plugin", "../wit/host", "../wit/alerting"],
        world: "looma:alerting/alert-evaluator",
    });
}

use wit::exports::looma::alerting::evaluator::{Batch, Context};
use wit::looma::{alerting, host, plugin};
use wit::{AlertEvaluator, AlertEvaluatorPre};

/// What the host's side of a guest needs: nothing.
pub struct Silent;

impl host::log::Host for Silent {
    fn log(&mut self, _: host::log::Level, _: String, _: Vec<(String, String)>) {}
}

impl plugin::types::Host for Silent {}
impl alerting::series::Host for Silent {}

/// A component that can be instantiated.
pub struct Raw {
    engine: Engine,
    pre: AlertEvaluatorPre<Silent>,
}

/// An instance that is kept.
pub struct Warm {
    store: Store<Silent>,
    guest: AlertEvaluator,
}

impl Raw {
    /// Compiles and links.
    pub fn new(wasm: &[u8]) -> Self {
        let mut config = Config::new();
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(1 << 20).table_keep_resident(64 << 10).max_memory_size(512 << 20);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).unwrap();
        let component = Component::new(&engine, wasm).unwrap();
        let mut linker = Linker::new(&engine);
        AlertEvaluator::add_to_linker::<_, HasSelf<_>>(&mut linker, |silent| silent).unwrap();
        let pre = AlertEvaluatorPre::new(linker.instantiate_pre(&component).unwrap()).unwrap();
        Self { engine, pre }
    }

    /// A fresh instance.
    pub fn instance(&self) -> Warm {
        let mut store = Store::new(&self.engine, Silent);
        let guest = self.pre.instantiate(&mut store).unwrap();
        Warm { store, guest }
    }
}

impl Warm {
    /// One call.
    pub fn evaluate(&mut self, config: &str, batch: &Batch) -> (Vec<u8>, Vec<f64>) {
        let context = Context { now_ms: 0, interval_ms: 1_000, config: config.to_owned() };
        let said = self.guest.looma_alerting_evaluator().call_evaluate(&mut self.store, &context, batch, None);
        let verdicts = said.unwrap().unwrap();
        (verdicts.levels, verdicts.scores)
    }
}

/// The same batch for the raw side.
pub fn batch(batch: &Arc<SeriesBatch>) -> Batch {
    let SeriesBatch { ids, offsets, times, values, labels } = &**batch;
    Batch {
        ids: ids.clone(),
        offsets: offsets.clone(),
        times: times.clone(),
        values: values.clone(),
        labels: labels.clone(),
    }
}
