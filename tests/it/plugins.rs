//! `/plugins`: how they come in, what is told of a bad one, and what goes on while they change.

mod admission;
mod batches;
mod calls;
mod counts;
mod files;
mod fuzz;
mod grants;
mod health;
mod replaced;
mod hostile;
mod kit;
mod kv;
mod mail;
mod retries;
mod rollouts;
mod shares;
mod soak;
mod states;
mod signing;
mod uploads;

use std::sync::Arc;

use looma::plugins::{CallError, EvalContext, PluginName, SeriesBatch};
use looma_tests::TestServer;
use serde_json::json;

/// Lets an evaluator judge one point of 95 against a threshold of 90, and gives its levels.
async fn evaluate(looma: &TestServer, plugin: &str) -> Result<Vec<u8>, CallError> {
    let config = json!({"comparison_operator": ">", "threshold_value": 90}).to_string();
    let context = EvalContext { now_ms: 0, interval_ms: 1_000, config };
    let batch =
        SeriesBatch { ids: vec![1], offsets: vec![0, 1], times: vec![0], values: vec![95.0], labels: Vec::new() };
    let plugin: PluginName = plugin.parse().unwrap();
    let done = looma.app().plugins.evaluate(&plugin, context, Arc::new(batch), None).await;
    done.map(|evaluated| evaluated.verdicts.levels)
}

/// Uploads a component that is new, and gives the beginning of its digest, as `/metrics` shows it.
async fn bring(looma: &TestServer, component: Vec<u8>) -> String {
    let plugin = looma.admin().await.post_bytes("/plugins", "application/wasm", component).await.expect(201);
    plugin["digest"].as_str().unwrap()[..12].to_owned()
}
