//! What a plugin costs: an empty call, a thousand series against the same loop in Rust, and the time from saving a file
//! to the first answer of the new version.
//!
//! `cargo bench --bench plugins`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use looma::{
    clock::Clock,
    plugins::{EvalContext, PluginName, SeriesBatch},
    run::{Running, Start, start},
};
use looma_tests::{
    ADMIN_PASSWORD, Store,
    plugins::{component, renewed},
};
use tokio::runtime::Runtime;

const SERIES: u64 = 1_000;
const CONFIG: &str = r#"{"comparison_operator": ">", "threshold_value": 90}"#;

struct Bench {
    runtime: Runtime,
    running: Running,
    threshold: PluginName,
    _store: Store,
}

impl Bench {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let store = Store::sqlite();
        let settings = store.settings();
        std::fs::create_dir_all(settings.plugins_dir()).unwrap();
        save(&settings.plugins_dir(), &component("threshold"));
        let start = start(Start { settings, clock: Clock::system(), admin_password: Some(ADMIN_PASSWORD.to_owned()) });
        let running = runtime.block_on(start).unwrap();
        Self { runtime, running, threshold: "threshold".parse().unwrap(), _store: store }
    }

    /// One call with these series.
    fn evaluate(&self, batch: &Arc<SeriesBatch>) -> Vec<u8> {
        let context = EvalContext { now_ms: 0, interval_ms: 1_000, config: CONFIG.to_owned() };
        let call = self.running.app.plugins.evaluate(&self.threshold, context, Arc::clone(batch), None);
        self.runtime.block_on(call).unwrap().verdicts.levels
    }

    fn digest(&self) -> Option<String> {
        self.running.app.plugins.get(&self.threshold)?.digest
    }
}

/// Puts a file in the place of the one before, as a build does.
fn save(folder: &Path, bytes: &[u8]) {
    let new = folder.join(".threshold.new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, folder.join("threshold.wasm")).unwrap();
}

/// A point a series.
fn batch(series: u64) -> Arc<SeriesBatch> {
    let count = usize::try_from(series).unwrap();
    let values = (0..count).map(|i| (i % 101) as f64).collect();
    let offsets = (0..=u32::try_from(series).unwrap()).collect();
    Arc::new(SeriesBatch { ids: (0..series).collect(), offsets, times: vec![0; count], values, labels: Vec::new() })
}

/// What the plugin does, in Rust.
fn native(batch: &SeriesBatch) -> (Vec<u8>, Vec<f64>) {
    let scores: Vec<f64> = batch.offsets.windows(2).map(|ends| batch.values[ends[1] as usize - 1]).collect();
    (scores.iter().map(|&score| u8::from(score > 90.0)).collect(), scores)
}

fn plugins(c: &mut Criterion) {
    let bench = Bench::start();
    let mut group = c.benchmark_group("plugins");
    let (none, thousand) = (batch(0), batch(SERIES));
    assert_eq!(bench.evaluate(&thousand), native(&thousand).0);
    group.bench_function("empty call", |b| b.iter(|| black_box(bench.evaluate(&none))));
    group.throughput(Throughput::Elements(SERIES));
    group.bench_function("1000 series", |b| b.iter(|| black_box(bench.evaluate(&thousand))));
    group.bench_function("1000 series, the same in Rust", |b| b.iter(|| black_box(native(black_box(&thousand)))));
    group.finish();
    let mut group = c.benchmark_group("plugins, from a saved file to its first answer");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    let folder = bench.running.app.settings.plugins_dir();
    let mut saves = 0_u64;
    group.bench_function("threshold", |b| {
        b.iter_custom(|count| (0..count).map(|_| first_answer(&bench, &folder, &thousand, &mut saves)).sum());
    });
    group.finish();
    bench.runtime.block_on(bench.running.stop()).unwrap();
}

/// Saves a version that was never seen, compilation included, and waits until it answers.
fn first_answer(bench: &Bench, folder: &Path, batch: &Arc<SeriesBatch>, saves: &mut u64) -> Duration {
    *saves += 1;
    let unseen = bench.running.app.ids.next();
    let version = renewed(component("threshold"), &format!("{saves} {unseen}"));
    let before = bench.digest();
    let began = Instant::now();
    save(folder, &version);
    while bench.digest() == before {
        std::thread::sleep(Duration::from_micros(200));
    }
    bench.evaluate(batch);
    began.elapsed()
}

criterion_group!(benches, plugins);
criterion_main!(benches);
