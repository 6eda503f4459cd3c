//! Times side by side, and the table of them.

use std::time::{Duration, Instant};

/// Rounds of each thing that is timed; the middle one counts.
const ROUNDS: usize = 41;
/// How long a round takes about.
const ROUND: Duration = Duration::from_millis(4);

/// About as long as the thread of calls sleeps when somebody asks again at once.
const ASLEEP: Duration = Duration::from_micros(20);

/// Times each of these, in turn, so that what the machine does beside meets all of them. Gives the middle of the rounds, for one run.
pub fn side_by_side<const N: usize>(mut each: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let times = each.each_mut().map(|run| {
        let (began, mut times) = (Instant::now(), 0);
        while began.elapsed() < ROUND {
            run();
            times += 1;
        }
        times
    });
    let mut rounds: [Vec<Duration>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((run, times), rounds) in each.iter_mut().zip(times).zip(&mut rounds) {
            let began = Instant::now();
            (0..times).for_each(|_| run());
            rounds.push(began.elapsed() / times);
        }
    }
    rounds.map(|rounds| quantile(rounds, 0.5))
}

/// Times this on a thread that falls asleep between two runs, as the threads of calls do: it then begins with caches that others
/// have used. Gives the middle.
pub fn woken(mut run: impl FnMut()) -> Duration {
    let times = (0..5_000).map(|_| {
        std::thread::sleep(ASLEEP);
        let began = Instant::now();
        run();
        began.elapsed()
    });
    quantile(times.collect(), 0.5)
}

/// The value below which this part of them lies.
pub fn quantile(mut times: Vec<Duration>, part: f64) -> Duration {
    times.sort();
    times[((times.len() - 1) as f64 * part).round() as usize]
}

/// The table, a line a row.
pub struct Table;

impl Table {
    /// Begins it.
    pub fn begin() -> Self {
        println!("{:<58} {:>11} {:>11} {:>7}  bound", "", "ours", "beside it", "ratio");
        Self
    }

    /// A time beside another; `most` is the ratio that it may be.
    pub fn ratio(&self, what: &str, ours: Duration, beside: Duration, most: Option<f64>) {
        let ratio = ours.as_secs_f64() / beside.as_secs_f64();
        let bound = most.map_or(String::new(), |most| bound(ratio <= most, &format!("{most} x")));
        println!("{what:<58} {:>11} {:>11} {ratio:>6.2}x  {bound}", shown(ours), shown(beside));
    }

    /// A time that may be at most so long.
    pub fn time(&self, what: &str, ours: Duration, most: Duration) {
        println!("{what:<58} {:>11} {:>11} {:>7}  {}", shown(ours), "", "", bound(ours <= most, &shown(most)));
    }
}

fn bound(held: bool, most: &str) -> String {
    format!("at most {most}: {}", if held { "held" } else { "MISSED" })
}

fn shown(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    match nanos {
        ..1e3 => format!("{nanos:.0} ns"),
        ..1e6 => format!("{:.2} us", nanos / 1e3),
        _ => format!("{:.2} ms", nanos / 1e6),
    }
}
