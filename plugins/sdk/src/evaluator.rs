//! Alert evaluators: pure functions from series to verdicts.

use crate::bindings::evaluator as bindings;
use crate::{Plugin, PluginError, config};

use bindings::exports::looma::alerting::evaluator::Guest;
pub use bindings::exports::looma::alerting::evaluator::{Batch, Context, Requirements, State, Verdicts};

/// Judges series.
pub trait Evaluator: Plugin {
    /// What an evaluation with this configuration needs.
    fn plan(config: &Self::Config) -> Requirements;

    /// A verdict for each series of the batch, in order.
    fn evaluate(
        config: &Self::Config,
        context: &Context,
        input: &Batch,
        previous: Option<&State>,
    ) -> Result<Verdicts, PluginError>;
}

impl<T: Evaluator> Guest for T {
    fn plan(config: String) -> Result<Requirements, PluginError> {
        let config = config::known::<T>(&config)?;
        Ok(<T as Evaluator>::plan(&config))
    }

    fn evaluate(context: Context, input: Batch, previous: Option<State>) -> Result<Verdicts, PluginError> {
        let config = config::known::<T>(&context.config)?;
        <T as Evaluator>::evaluate(&config, &context, &input, previous.as_ref())
    }
}
