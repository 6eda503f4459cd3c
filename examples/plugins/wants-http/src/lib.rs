//! A bad plugin: an evaluator that would ask a server for its verdict. Evaluators are pure functions, so it is refused.

use exports::looma::{
    alerting::evaluator::{Batch, Context, Guest as Evaluator, PluginError, Requirements, State, Verdicts},
    plugin::lifecycle::{Descriptor, Guest as Lifecycle, Problem},
};
use looma::host::http::{self, Request};

wit_bindgen::generate!({
    inline: "
        package example:bad;
        world wants-http {
            include looma:alerting/alert-evaluator@0.1.0;
            import looma:host/http@0.1.0;
        }
    ",
    path: ["../../../wit/plugin", "../../../wit/host", "../../../wit/alerting"],
    world: "example:bad/wants-http",
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

    fn evaluate(_context: Context, input: Batch, _previous: Option<State>) -> Result<Verdicts, PluginError> {
        let request = Request {
            method: "GET".to_owned(),
            url: "https://verdicts.example.com".to_owned(),
            headers: Vec::new(),
            secret_headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: 1_000,
        };
        // This is what it must not do.
        let answer = http::send(&request).map_err(|_| PluginError::Permanent("no verdict".to_owned()))?;
        let level = u8::from(answer.status == 200);
        Ok(Verdicts { levels: vec![level; input.ids.len()], scores: vec![0.0; input.ids.len()], notes: Vec::new(), next: None })
    }
}

export!(Component);
