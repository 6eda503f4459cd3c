//! Bundled evaluator: compares the latest value of each series with fixed thresholds. It keeps no state.

use looma_plugin_sdk::{
    Batch, Context, Evaluator, Plugin, PluginError, Problem, Requirements, State, Verdicts, problem,
};
use serde::Deserialize;

const NORMAL: u8 = 0;
const BREACH: u8 = 1;
const WARNING: u8 = 2;
const UNKNOWN: u8 = 255;

/// How a value is compared with the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Operator {
    /// above
    #[serde(rename = ">")]
    Above,
    /// below
    #[serde(rename = "<")]
    Below,
    /// at or above
    #[serde(rename = ">=")]
    AtLeast,
    /// at or below
    #[serde(rename = "<=")]
    AtMost,
    /// the same
    #[serde(rename = "==", alias = "=")]
    Equal,
    /// not the same
    #[serde(rename = "!=")]
    Differs,
}

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// how the latest value is compared
    pub comparison_operator: Operator,
    /// what it is compared with
    pub threshold_value: f64,
    /// where a warning begins, before the threshold
    #[serde(default)]
    pub warning_value: Option<f64>,
}

/// The plugin.
pub struct Threshold;

impl Plugin for Threshold {
    type Config = Config;
    const NAME: &'static str = "threshold";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = env!("CARGO_PKG_DESCRIPTION");
    const SCHEMA: &'static str = include_str!("schema.json");

    fn faults(config: &Config) -> Vec<Problem> {
        let Config { comparison_operator, threshold_value, warning_value } = config;
        let Some(warning) = *warning_value else {
            return Vec::new();
        };
        let order = match comparison_operator {
            Operator::Above | Operator::AtLeast => {
                (warning >= *threshold_value).then_some("must be below threshold_value")
            }
            Operator::Below | Operator::AtMost => {
                (warning <= *threshold_value).then_some("must be above threshold_value")
            }
            Operator::Equal | Operator::Differs => Some("has no meaning with == and !="),
        };
        order.map(|message| problem("/warning_value", message)).into_iter().collect()
    }
}

impl Evaluator for Threshold {
    fn plan(_: &Config) -> Requirements {
        Requirements { lookback_ms: 0, labels: false, state: false }
    }

    fn evaluate(config: &Config, _: &Context, input: &Batch, _: Option<&State>) -> Result<Verdicts, PluginError> {
        let scores = latest(&input.offsets, &input.values);
        Ok(Verdicts { levels: levels(config, &scores), scores, notes: Vec::new(), next: None })
    }
}

looma_plugin_sdk::evaluator!(Threshold);

/// The last value of each series, or NaN where it has none.
pub fn latest(offsets: &[u32], values: &[f64]) -> Vec<f64> {
    offsets.windows(2).map(|ends| if ends[1] > ends[0] { values[ends[1] as usize - 1] } else { f64::NAN }).collect()
}

/// The verdict for each value.
pub fn levels(config: &Config, values: &[f64]) -> Vec<u8> {
    let threshold = config.threshold_value;
    let warning = config.warning_value;
    match config.comparison_operator {
        Operator::Above => judge(values, |v| v > threshold, |v| warning.is_some_and(|w| v > w)),
        Operator::AtLeast => judge(values, |v| v >= threshold, |v| warning.is_some_and(|w| v >= w)),
        Operator::Below => judge(values, |v| v < threshold, |v| warning.is_some_and(|w| v < w)),
        Operator::AtMost => judge(values, |v| v <= threshold, |v| warning.is_some_and(|w| v <= w)),
        Operator::Equal => judge(values, |v| v == threshold, |_| false),
        Operator::Differs => judge(values, |v| v != threshold, |_| false),
    }
}

fn judge(values: &[f64], breach: impl Fn(f64) -> bool, warns: impl Fn(f64) -> bool) -> Vec<u8> {
    let level = |&value: &f64| match value {
        _ if value.is_nan() => UNKNOWN,
        _ if breach(value) => BREACH,
        _ if warns(value) => WARNING,
        _ => NORMAL,
    };
    values.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        looma_plugin_sdk::config::load::<Threshold>(text).unwrap()
    }

    #[test]
    fn the_latest_point_decides() {
        let values = latest(&[0, 2, 2, 3], &[95.0, 10.0, 91.0]);
        let config = config(r#"{"comparison_operator": ">", "threshold_value": 90, "warning_value": 5}"#);
        assert_eq!(levels(&config, &values), [WARNING, UNKNOWN, BREACH]);
    }

    #[test]
    fn the_boundary_belongs_to_the_operator() {
        for (operator, expected) in [(">", 0), (">=", 1), ("<", 0), ("<=", 1), ("==", 1), ("!=", 0)] {
            let config = config(&format!(r#"{{"comparison_operator": "{operator}", "threshold_value": 90.0}}"#));
            assert_eq!(levels(&config, &[90.0]), [expected], "{operator}");
        }
    }

    #[test]
    fn a_warning_beyond_the_threshold_is_a_fault() {
        let faults = looma_plugin_sdk::config::check::<Threshold>(
            r#"{"comparison_operator": ">", "threshold_value": 90, "warning_value": 95}"#,
        );
        assert_eq!(faults[0].pointer, "/warning_value");
    }
}
