//! An alert evaluator: breaches when the highest point of the last minutes is over a limit. It is a pure function: everything it
//! knows comes with the call, and the same input gives the same verdicts.

mod lifecycle;

use exports::looma::alerting::evaluator::{Batch, Context, Guest, PluginError, Requirements, State, Verdicts};
use looma::plugin::types::Problem;
use serde::Deserialize;

wit_bindgen::generate!({
    path: ["wit/plugin", "wit/host", "wit/alerting"],
    world: "looma:alerting/alert-evaluator",
    generate_all,
});

const NORMAL: u8 = 0;
const BREACH: u8 = 1;
const UNKNOWN: u8 = 255;

/// The configuration; `schema.json` describes it to people and forms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What no point may pass.
    limit: f64,
    /// How far back is looked.
    #[serde(default = "minute")]
    lookback_seconds: u64,
}

fn minute() -> u64 {
    60
}

impl Config {
    /// What is wrong with it that its type cannot say.
    fn faults(&self) -> Vec<Problem> {
        if self.lookback_seconds == 0 {
            return vec![lifecycle::problem("/lookback_seconds", "must be at least 1")];
        }
        Vec::new()
    }
}

/// The plugin.
struct Component;

impl Guest for Component {
    fn plan(config: String) -> Result<Requirements, PluginError> {
        let config = lifecycle::read(&config)?;
        Ok(Requirements { lookback_ms: config.lookback_seconds * 1000, labels: false, state: false })
    }

    fn evaluate(context: Context, input: Batch, _previous: Option<State>) -> Result<Verdicts, PluginError> {
        let config = lifecycle::read(&context.config)?;
        // The points of series `i` are `values[offsets[i]..offsets[i + 1]]`, oldest first.
        let points = |ends: &[u32]| &input.values[ends[0] as usize..ends[1] as usize];
        let highest = |ends: &[u32]| points(ends).iter().copied().fold(f64::NAN, f64::max);
        let scores: Vec<f64> = input.offsets.windows(2).map(highest).collect();
        let level = |score: &f64| match score {
            score if score.is_nan() => UNKNOWN,
            score if *score > config.limit => BREACH,
            _ => NORMAL,
        };
        let levels: Vec<u8> = scores.iter().map(level).collect();
        let note = |(at, level): (u32, &u8)| (*level == BREACH).then(|| (at, format!("over {}", config.limit)));
        let notes = (0..).zip(&levels).filter_map(note).collect();
        Ok(Verdicts { levels, scores, notes, next: None })
    }
}

export!(Component);
