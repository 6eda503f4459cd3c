//! Talent matchers: how well talents fit a demand, and why.

use crate::bindings::matcher as bindings;
use crate::{Plugin, PluginError, config};

use bindings::exports::looma::talent::matcher::Guest;
pub use bindings::exports::looma::talent::matcher::Signals;
pub use bindings::exports::looma::talent::matcher::{Candidate, Demand, Evidence, Explanation, Scored};
pub use bindings::looma::talent::types::{Profile, Skill};

/// Scores talents.
pub trait Matcher: Plugin {
    /// A score for each candidate, in order; its parts add up to it.
    fn score(config: &Self::Config, need: &Demand, candidates: &[Candidate]) -> Result<Vec<Scored>, PluginError>;

    /// Why, for each candidate, in order, in the language asked for.
    fn explain(
        config: &Self::Config,
        need: &Demand,
        candidates: &[Candidate],
        language: &str,
    ) -> Result<Vec<Explanation>, PluginError>;
}

impl<T: Matcher> Guest for T {
    fn score(config: String, need: Demand, candidates: Vec<Candidate>) -> Result<Vec<Scored>, PluginError> {
        let config = config::known::<T>(&config)?;
        <T as Matcher>::score(&config, &need, &candidates)
    }

    fn explain(
        config: String,
        need: Demand,
        candidates: Vec<Candidate>,
        language: String,
    ) -> Result<Vec<Explanation>, PluginError> {
        let config = config::known::<T>(&config)?;
        <T as Matcher>::explain(&config, &need, &candidates, &language)
    }
}
