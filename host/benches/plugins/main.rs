//! What a plugin costs, beside the same component on wasmtime alone and the same loop in Rust, in one table: calls, a fresh instance,
//! the time from saving a file to the first answer, and what a neighbour notices of a plugin that misbehaves.
//!
//! `cargo bench --bench plugins`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![expect(clippy::print_stdout, reason = "a table is printed")]

mod neighbour;
mod raw;
mod table;

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use looma::{
    clock::Clock,
    metrics::{Columns, Sample, SeriesKey},
    plugins::{EvalContext, PluginName, Plugins, SeriesBatch},
    run::{Running, Start, start},
};
use looma_tests::{
    ADMIN_PASSWORD, Client, Store,
    plugins::{component, evaluator, renewed},
};
use raw::Raw;
use serde_json::{Value, json};
use table::{Table, quantile, side_by_side, woken};
use tokio::runtime::Runtime;

const SERIES: u32 = 1_000;
const CONFIG: &str = r#"{"comparison_operator": ">", "threshold_value": 90}"#;
/// Points a series that the server has in memory.
const KEPT: u32 = 60;
/// Files that are saved for the time until the first answer.
const SAVES: usize = 15;

/// A server with `threshold` and with an evaluator that does nothing.
struct Bench {
    runtime: Runtime,
    running: Running,
    admin: Client,
    _store: Store,
}

impl Bench {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let store = Store::sqlite();
        let settings = store.settings();
        let folder = settings.plugins_dir();
        std::fs::create_dir_all(&folder).unwrap();
        put(&folder, "threshold", &component("threshold"));
        put(&folder, "nothing", &nothing());
        let start = start(Start { settings, clock: Clock::system(), admin_password: Some(ADMIN_PASSWORD.to_owned()) });
        let running = runtime.block_on(start).unwrap();
        let url = format!("http://{}", running.address);
        let who = json!({"username": "admin", "password": ADMIN_PASSWORD});
        let token = runtime.block_on(Client::new(url.clone(), None).post("/auth/login", &who)).expect(200);
        let admin = Client::new(url, token["access_token"].as_str().map(str::to_owned));
        Self { runtime, running, admin, _store: store }
    }

    fn plugins(&self) -> Plugins {
        self.running.app.plugins.clone()
    }

    /// One call with these series.
    fn evaluate(&self, plugin: &str, batch: &Arc<SeriesBatch>) -> Vec<u8> {
        let plugin = name(plugin);
        let call = self.running.app.plugins.evaluate(&plugin, context(CONFIG), Arc::clone(batch), None);
        self.runtime.block_on(call).unwrap().verdicts.levels
    }

    fn grant(&self, plugin: &str, grants: &Value) {
        self.runtime.block_on(self.admin.put(&format!("/plugins/{plugin}/grants"), grants)).expect(200);
    }

    fn digest(&self, plugin: &str) -> Option<String> {
        self.running.app.plugins.get(&name(plugin))?.digest
    }

    /// Saves a file and waits until it serves.
    fn save(&self, plugin: &str, bytes: &[u8]) {
        let before = self.digest(plugin);
        put(&self.running.app.settings.plugins_dir(), plugin, bytes);
        while self.digest(plugin) == before {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// From saving a version to its first answer.
    fn first_answer(&self, bytes: &[u8], batch: &Arc<SeriesBatch>) -> Duration {
        let began = Instant::now();
        self.save("threshold", bytes);
        self.evaluate("threshold", batch);
        began.elapsed()
    }

    /// Seconds that calls of a plugin ran on their threads so far, and how many there were, as `/metrics` has it.
    fn ran(&self, plugin: &str) -> (f64, f64) {
        let mut text = String::new();
        self.running.app.plugins.render(&mut text);
        let lines = text
            .lines()
            .filter(|line| line.contains(&format!("plugin=\"{plugin}\"")) && line.contains("function=\"evaluate\""));
        lines.fold((0.0, 0.0), |(sum, count), line| {
            let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            match line.split('{').next().unwrap() {
                "looma_plugin_call_seconds_sum" => (sum + value, count),
                "looma_plugin_call_seconds_count" => (sum, count + value),
                _ => (sum, count),
            }
        })
    }

    /// How long a call takes on its thread, without the way there and back. The thread is woken for each: see `table::woken`.
    fn on_its_thread(&self, plugin: &str, batch: &Arc<SeriesBatch>) -> Duration {
        let rounds = (0..41).map(|_| {
            let before = self.ran(plugin);
            (0..200).for_each(|_| drop(self.evaluate(plugin, batch)));
            let after = self.ran(plugin);
            Duration::from_secs_f64((after.0 - before.0) / (after.1 - before.1))
        });
        quantile(rounds.collect(), 0.5)
    }
}

/// Puts a file in the place of the one before, as a build does.
fn put(folder: &Path, plugin: &str, bytes: &[u8]) {
    let new = folder.join(format!(".{plugin}.new"));
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, folder.join(format!("{plugin}.wasm"))).unwrap();
}

fn name(text: &str) -> PluginName {
    text.parse().unwrap()
}

fn context(config: &str) -> EvalContext {
    EvalContext { now_ms: 0, interval_ms: 1_000, config: config.to_owned() }
}

/// An evaluator that answers with no verdicts, for calls of no series.
fn nothing() -> Vec<u8> {
    evaluator("nothing", "(i32.const 512)", "(global.set $free (i32.const 8192)) (i32.const 1024)")
}

/// So many points a series.
fn batch(series: u32, points: u32) -> Arc<SeriesBatch> {
    let all = (series * points) as usize;
    let values = (0..all).map(|i| (i % 101) as f64).collect();
    let offsets = (0..=series).map(|n| n * points).collect();
    Arc::new(SeriesBatch {
        ids: (0..u64::from(series)).collect(),
        offsets,
        times: vec![0; all],
        values,
        labels: Vec::new(),
    })
}

/// What the plugin does, in Rust: no value, above the threshold, above where a warning begins, none of it.
fn native(batch: &SeriesBatch) -> (Vec<u8>, Vec<f64>) {
    let (threshold, warning) = black_box((90.0, None::<f64>));
    let last = |ends: &[u32]| if ends[1] > ends[0] { batch.values[ends[1] as usize - 1] } else { f64::NAN };
    let scores: Vec<f64> = batch.offsets.windows(2).map(last).collect();
    let level = |score: &f64| match *score {
        score if score.is_nan() => 255,
        score if score > threshold => 1,
        score if warning.is_some_and(|warning| score > warning) => 2,
        _ => 0,
    };
    (scores.iter().map(level).collect(), scores)
}

fn main() {
    let bench = Bench::start();
    let table = Table::begin();
    calls(&bench, &table);
    instances(&bench, &table);
    saves(&bench, &table);
    neighbours(&bench, &table);
    bench.runtime.block_on(bench.running.stop()).unwrap();
}

fn calls(bench: &Bench, table: &Table) {
    let none = batch(0, 0);
    let (empty, raw_none) = (Raw::new(&nothing()), raw::batch(&none));
    let mut warm = empty.instance();
    let [ours, beside, pooled] = side_by_side([
        &mut || drop(black_box(bench.evaluate("nothing", &none))),
        &mut || drop(black_box(warm.evaluate(CONFIG, &raw_none))),
        &mut || drop(black_box(empty.instance().evaluate(CONFIG, &raw_none))),
    ]);
    let alone = bench.on_its_thread("nothing", &none);
    let raw_woken = woken(|| drop(black_box(warm.evaluate(CONFIG, &raw_none))));
    table.ratio("empty call on its thread : raw on a thread that is woken too", alone, raw_woken, Some(2.0));
    table.ratio("empty call, there and back : raw, warm instance", ours, beside, None);
    table.ratio("empty call, there and back : raw, instance from the pool", ours, pooled, None);
    let (one, all) = (batch(SERIES, 1), batch(SERIES, KEPT));
    judging(bench, table, "1,000 series x 1", &one, Some(3.0));
    kept(bench, table);
    judging(bench, table, "1,000 series x 60, all handed over", &all, None);
}

fn judging(bench: &Bench, table: &Table, what: &str, batch: &Arc<SeriesBatch>, most: Option<f64>) {
    let raw = Raw::new(&component("threshold"));
    let (mut warm, same) = (raw.instance(), raw::batch(batch));
    assert_eq!(bench.evaluate("threshold", batch), native(batch).0);
    assert_eq!(warm.evaluate(CONFIG, &same), native(batch));
    let [ours, beside, native] = side_by_side([
        &mut || drop(black_box(bench.evaluate("threshold", batch))),
        &mut || drop(black_box(warm.evaluate(CONFIG, &same))),
        &mut || drop(black_box(native(black_box(batch)))),
    ]);
    let alone = bench.on_its_thread("threshold", batch);
    let native_woken = woken(|| drop(black_box(self::native(black_box(batch)))));
    let raw_woken = woken(|| drop(black_box(warm.evaluate(CONFIG, &same))));
    table.ratio(&format!("{what} on its thread : native loop, woken too"), alone, native_woken, most);
    table.ratio(&format!("{what} on its thread : raw, woken too"), alone, raw_woken, None);
    table.ratio(&format!("{what} on its thread : native loop that never sleeps"), alone, native, None);
    table.ratio(&format!("{what}, there and back : raw, warm instance"), ours, beside, None);
    table.ratio(&format!("{what}, raw, warm instance : native loop"), beside, native, None);
}

/// A rule as the server judges it, with 60 points of each series in memory: the plugin's plan says that it needs the latest alone, and
/// it gets no others. The loop in Rust reads the same memory.
fn kept(bench: &Bench, table: &Table) {
    let metrics = &bench.running.app.metrics;
    let now = bench.running.app.clock.now();
    let sample = |n: u32| Sample {
        index: n as usize,
        key: SeriesKey {
            service_id: format!("s{}", n / KEPT).into(),
            metric_name: "cpu_usage".to_owned(),
            tags: Default::default(),
        },
        unit: None,
        at: now.minus(Duration::from_secs(u64::from(KEPT - n % KEPT))),
        value: f64::from(n % 101),
    };
    for part in (0..SERIES * KEPT).collect::<Vec<_>>().chunks(10_000) {
        let refused = bench.runtime.block_on(metrics.write(part.iter().map(|n| sample(*n)).collect())).unwrap();
        assert!(refused.is_empty());
    }
    let needs = bench.runtime.block_on(bench.plugins().plan(&name("threshold"), CONFIG)).unwrap();
    let series = metrics.select("cpu_usage", |_| true);
    let batch = || {
        let Columns { ids, offsets, times, values } = metrics.batch(&series, Duration::from_millis(needs.lookback_ms));
        SeriesBatch { ids, offsets, times, values, labels: Vec::new() }
    };
    assert_eq!(batch().ids.len(), SERIES as usize);
    let [gathered, native] =
        side_by_side([&mut || drop(black_box(batch())), &mut || drop(black_box(native(&batch())))]);
    let ours = gathered + bench.on_its_thread("threshold", &Arc::new(batch()));
    table.ratio("1,000 series x 60 in memory, as a rule is judged : native loop", ours, native, Some(4.0));
}

/// An instance that has most of the memory that it may have is not kept: each call has a fresh one.
fn instances(bench: &Bench, table: &Table) {
    let one = batch(1, 1);
    let raw = Raw::new(&component("threshold"));
    let mut warm = raw.instance();
    let same = raw::batch(&one);
    let [pooled, kept] = side_by_side([&mut || drop(black_box(raw.instance().evaluate(CONFIG, &same))), &mut || {
        drop(black_box(warm.evaluate(CONFIG, &same)))
    }]);
    let ours_kept = bench.on_its_thread("threshold", &one);
    bench.grant("threshold", &json!({"memory_bytes": 1_200_000}));
    let fresh = bench.on_its_thread("threshold", &one);
    bench.grant("threshold", &json!({}));
    let (ours, beside) = (fresh.saturating_sub(ours_kept), pooled.saturating_sub(kept));
    table.time("pooled instance", ours, Duration::from_micros(60));
    table.ratio("pooled instance : raw", ours, beside, None);
}

fn saves(bench: &Bench, table: &Table) {
    let one = batch(1, 1);
    let unseen = |n: usize| renewed(component("threshold"), &format!("{n} {}", bench.running.app.ids.next()));
    let versions: Vec<Vec<u8>> = (0..SAVES).map(unseen).collect();
    let first = versions.iter().map(|version| bench.first_answer(version, &one)).collect();
    let again = versions.iter().map(|version| bench.first_answer(version, &one)).collect();
    table.time("Rust component, from save to first answer", quantile(first, 0.5), Duration::from_millis(400));
    table.time("cached component, from save to first answer", quantile(again, 0.5), Duration::from_millis(150));
}

fn neighbours(bench: &Bench, table: &Table) {
    let (alone, beside) = neighbour::p99(bench, &batch(SERIES, 1));
    for ((_, what), p99) in neighbour::MISDEEDS.into_iter().zip(beside) {
        table.ratio(&format!("a neighbour's p99 while a plugin {what} : alone"), p99, alone, Some(1.1));
    }
}
