//! What a plugin's calls take while another misbehaves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use looma::plugins::SeriesBatch;
use looma_tests::guests::{CallPath, Guest};

use super::{Bench, table::quantile};

/// Guests, and what people call it.
pub const MISDEEDS: [(&str, &str); 3] = [("spin", "loops"), ("unreachable", "traps"), ("creep", "leaks")];
/// Times that each is tried, in turn with being alone.
const ROUNDS: usize = 7;
const CALLS: usize = 1_500;
/// Between two calls, so that the neighbour does not take the machine for itself.
const PAUSE: Duration = Duration::from_micros(500);
/// Misdeeds at once; a plugin's share is less.
const AT_ONCE: usize = 4;
/// Between two misdeeds of one caller: hundreds a second, and yet not all that the processors could do, which would say how the
/// system shares them and not what one plugin does to another.
const REST: Duration = Duration::from_millis(5);

/// The neighbour's p99 alone, and beside each misdeed: the middle of the rounds.
pub fn p99(bench: &Bench, batch: &Arc<SeriesBatch>) -> (Duration, [Duration; MISDEEDS.len()]) {
    for (guest, _) in MISDEEDS {
        bench.grant(guest, &serde_json::json!({"deadline_ms": 500}));
        bench.save(guest, &Guest::read(guest).component(CallPath::Pure, guest));
    }
    let (mut alone, mut beside) = (Vec::new(), MISDEEDS.map(|_| Vec::new()));
    for _ in 0..ROUNDS {
        alone.push(round(bench, batch, None));
        for ((guest, _), beside) in MISDEEDS.into_iter().zip(&mut beside) {
            beside.push(round(bench, batch, Some(guest)));
        }
    }
    (quantile(alone, 0.5), beside.map(|rounds| quantile(rounds, 0.5)))
}

fn round(bench: &Bench, batch: &Arc<SeriesBatch>, misdeed: Option<&str>) -> Duration {
    let ends = Arc::new(AtomicBool::new(false));
    let bad: Vec<_> = misdeed.into_iter().flat_map(|guest| (0..AT_ONCE).map(move |_| guest)).collect();
    let bad: Vec<_> = bad
        .into_iter()
        .map(|guest| bench.runtime.spawn(misbehave(bench.plugins(), guest.to_owned(), Arc::clone(&ends))))
        .collect();
    let mut took = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        std::thread::sleep(PAUSE);
        let began = Instant::now();
        bench.evaluate("threshold", batch);
        took.push(began.elapsed());
    }
    ends.store(true, Ordering::Relaxed);
    for bad in bad {
        bench.runtime.block_on(bad).unwrap();
    }
    quantile(took, 0.99)
}

/// A misdeed and an honest call in turn, so that the plugin is not put to rest.
async fn misbehave(plugins: looma::plugins::Plugins, guest: String, ends: Arc<AtomicBool>) {
    let name = guest.parse().unwrap();
    while !ends.load(Ordering::Relaxed) {
        for config in ["{\"misdeed\":true}", "{}"] {
            // What comes of it is the guest's affair.
            let _ = plugins.evaluate(&name, super::context(config), super::batch(1, 1), None).await;
        }
        tokio::time::sleep(REST).await;
    }
}
