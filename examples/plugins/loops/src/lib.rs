//! A bad plugin: an evaluator that never answers. It is taken, since it says who it is; each call is ended at its deadline, and after
//! five of them it rests.

use exports::looma::{
    alerting::evaluator::{Batch, Context, Guest as Evaluator, PluginError, Requirements, State, Verdicts},
    plugin::lifecycle::{Descriptor, Guest as Lifecycle, Problem},
};

wit_bindgen::generate!({
    path: ["../../../wit/plugin", "../../../wit/host", "../../../wit/alerting"],
    world: "looma:alerting/alert-evaluator",
    generate_all,
});

struct Component;

impl Lifecycle for Component {
    fn describe() -> Descriptor {
        Descriptor {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: env!("CARGO_PKG_DESCRIPTION").to_owned(),
            config_schema: r#"{"type": "object"}"#.to_owned(),
        }
    }

    fn check(_config: String) -> Vec<Problem> {
        Vec::new()
    }
}

impl Evaluator for Component {
    fn plan(_config: String) -> Result<Requirements, PluginError> {
        Ok(Requirements { lookback_ms: 0, labels: false, state: false })
    }

    fn evaluate(_context: Context, _input: Batch, _previous: Option<State>) -> Result<Verdicts, PluginError> {
        // This is what it must not do.
        loop {
            std::hint::spin_loop();
        }
    }
}

export!(Component);
