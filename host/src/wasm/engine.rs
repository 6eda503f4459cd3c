//! The engines and their one configuration. The serving engines have no compiler: a component that is slow to compile
//! must never be able to hold a serving process.

use std::sync::mpsc::Sender;

use anyhow::Context as _;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::pulse::Pulse;

/// Most linear memory that one instance can have, whatever is granted.
pub const MAX_MEMORY_BYTES: usize = 512 << 20;

const MAX_WASM_STACK: usize = 512 << 10;

/// What stays resident of the memory of an instance that is gone, so that the next one faults less. There are hundreds of places, no
/// budget counts this, and a guest can touch all of it: it is what an evaluator of ours touches, and not more.
const KEEP_RESIDENT: usize = 64 << 10;
/// Places that are kept for the component that had them last before another component's are taken. Each has what stayed resident.
const WARM_PLACES: u32 = 32;

/// How many instances can live at once in each engine.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    /// instances of pure plugins
    pub pure: u32,
    /// instances of plugins that do input and output
    pub io: u32,
}

impl Default for Slots {
    fn default() -> Self {
        Self { pure: 256, io: 256 }
    }
}

/// The two serving engines. Pure plugins never share a pool of instances with those that wait for the network.
pub struct Engines {
    pure: Engine,
    io: Engine,
    pulse: Pulse,
    // Dropping it ends the pulse.
    _stop: Sender<()>,
}

impl Engines {
    /// Makes both engines and starts their pulse.
    pub fn new(slots: Slots) -> anyhow::Result<Self> {
        let pure = serving_engine(slots.pure)?;
        let io = serving_engine(slots.io)?;
        let (pulse, stop) = Pulse::start(&[&pure, &io])?;
        Ok(Self { pure, io, pulse, _stop: stop })
    }

    /// The engine for plugins that only compute.
    pub fn pure(&self) -> &Engine {
        &self.pure
    }

    /// The engine for plugins that do input and output.
    pub fn io(&self) -> &Engine {
        &self.io
    }

    /// What deadlines are counted by.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }
}

/// What both the serving engines and the compiling one agree on; code compiled under it runs under it.
pub fn base_config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .memory_init_cow(true)
        .max_wasm_stack(MAX_WASM_STACK)
        .async_stack_size(MAX_WASM_STACK + (1 << 20))
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_relaxed_simd(false)
        .wasm_component_model(true)
        // Nobody is shown the frames of a guest that crashed; walking them takes time that its neighbours could have.
        .wasm_backtrace_max_frames(None);
    config
}

/// An engine that compiles. It belongs in a process of its own and is dropped with it.
pub fn compiling_engine() -> anyhow::Result<Engine> {
    let mut config = base_config();
    config.cranelift_opt_level(wasmtime::OptLevel::Speed);
    Engine::new(&config).map_err(told).context("could not make a compiling engine")
}

fn serving_engine(slots: u32) -> anyhow::Result<Engine> {
    let mut config = base_config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots)));
    let error = match without_compiler(&mut config) {
        Ok(engine) => return Ok(engine),
        Err(error) => error,
    };
    tracing::warn!(%error, "could not reserve address space for pooled instances, allocating each on demand");
    without_compiler(&mut base_config()).context("could not make a serving engine")
}

fn without_compiler(config: &mut Config) -> anyhow::Result<Engine> {
    config.enable_compiler(false);
    Engine::new(config).map_err(told)
}

/// An error of the engine as one of ours.
#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
pub fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

fn pool(slots: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots * 4)
        .total_memories(slots * 2)
        .total_tables(slots * 4)
        .total_stacks(slots)
        .max_memory_size(MAX_MEMORY_BYTES)
        .table_elements(100_000)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_core_instances_per_component(32)
        .max_memories_per_component(4)
        .max_tables_per_component(16)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(16 << 10)
        // What an instance had is given back at once: what waits for others to go is counted in no budget.
        .decommit_batch_size(1)
        // Where the kernel can tell which pages were touched, no others are zeroed, and none become resident by it.
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(slots.min(WARM_PLACES));
    pool
}

#[cfg(test)]
mod tests {
    use wasmtime::{Store, component::Linker};

    use super::super::compile::deserialize;
    use super::*;

    const INSTANCES: u32 = 128;

    fn resident_kib() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// KiB that guests which filled their memory leave behind, each on average.
    fn left_behind(pool: PoolingAllocationConfig) -> usize {
        let text = r#"(component (core module $m (memory (export "memory") 32)
            (func $fill (memory.fill (i32.const 0) (i32.const 7) (i32.const 2000000))) (start $fill))
            (core instance (instantiate $m)))"#;
        let code = compiling_engine().unwrap().precompile_component(&wat::parse_str(text).unwrap()).unwrap();
        let mut config = base_config();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = without_compiler(&mut config).unwrap();
        let pre = Linker::new(&engine).instantiate_pre(&deserialize(&engine, &code).unwrap()).unwrap();
        let instance = || {
            let mut store = Store::new(&engine, ());
            store.set_epoch_deadline(1_000);
            pre.instantiate(&mut store).unwrap();
            store
        };
        let before = resident_kib();
        drop((0..INSTANCES).map(|_| instance()).collect::<Vec<_>>());
        resident_kib().saturating_sub(before) / INSTANCES as usize
    }

    /// Guests that filled their memory are gone, and so is what they filled.
    #[test]
    fn instances_that_are_gone_leave_little_behind() {
        let mut generous = pool(INSTANCES);
        generous.linear_memory_keep_resident(1 << 20);
        assert!(left_behind(generous) > 800, "what is left behind can be seen");
        assert!(left_behind(pool(INSTANCES)) < 400);
    }
}
