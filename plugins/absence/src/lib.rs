//! Bundled evaluator: breaches when a series has had no point for too long. It keeps no state.

use looma_plugin_sdk::{
    Batch, Context, Evaluator, Plugin, PluginError, Problem, Requirements, State, Verdicts, problem,
};
use serde::Deserialize;

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// seconds without a point that are a breach
    pub absent_seconds: f64,
}

impl Config {
    fn absent_ms(&self) -> i64 {
        (self.absent_seconds * 1000.0) as i64
    }
}

/// The plugin.
pub struct Absence;

impl Plugin for Absence {
    type Config = Config;
    const NAME: &'static str = "absence";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = env!("CARGO_PKG_DESCRIPTION");
    const SCHEMA: &'static str = include_str!("schema.json");

    fn faults(config: &Config) -> Vec<Problem> {
        match config.absent_seconds {
            seconds if (0.001..=31_536_000.0).contains(&seconds) => Vec::new(),
            _ => vec![problem("/absent_seconds", "must be above 0 and at most a year (31536000)")],
        }
    }
}

impl Evaluator for Absence {
    fn plan(config: &Config) -> Requirements {
        // Twice the time, so that a series that just fell silent is still told from one that never was.
        Requirements { lookback_ms: config.absent_ms().unsigned_abs() * 2, labels: false, state: false }
    }

    fn evaluate(config: &Config, context: &Context, input: &Batch, _: Option<&State>) -> Result<Verdicts, PluginError> {
        Ok(judge(config.absent_ms(), context.now_ms, &input.offsets, &input.times))
    }
}

looma_plugin_sdk::evaluator!(Absence);

/// A breach for each series whose last point is older than `absent_ms`. The score is the silence in seconds; a series with no
/// point in the whole of its lookback has been silent at least twice as long as allowed.
pub fn judge(absent_ms: i64, now_ms: i64, offsets: &[u32], times: &[i64]) -> Verdicts {
    let silence = |ends: &[u32]| match ends[1] > ends[0] {
        true => now_ms.saturating_sub(times[ends[1] as usize - 1]).max(0),
        false => absent_ms.saturating_mul(2),
    };
    let silences: Vec<i64> = offsets.windows(2).map(silence).collect();
    Verdicts {
        levels: silences.iter().map(|&ms| u8::from(ms > absent_ms)).collect(),
        scores: silences.iter().map(|&ms| ms as f64 / 1000.0).collect(),
        notes: Vec::new(),
        next: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_longer_than_allowed_is_a_breach() {
        let verdicts = judge(10_000, 100_000, &[0, 1, 2, 2], &[95_000, 89_999]);
        assert_eq!(verdicts.levels, [0, 1, 1]);
        assert_eq!(verdicts.scores, [5.0, 10.001, 20.0]);
    }
}
