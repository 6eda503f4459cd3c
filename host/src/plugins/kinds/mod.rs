//! A file a kind: its world's bindings, a typed call for each function, and the check of everything that comes back. What a
//! guest returns is untrusted data.

#![expect(missing_docs, reason = "the bindings are generated from wit/, where each item is described")]

pub(super) mod embedder;
pub(super) mod evaluator;
pub(super) mod lifecycle;
pub(super) mod matcher;
pub(super) mod notifier;
pub(super) mod parser;
pub(super) mod strategy;

use wasmtime::Store;
use wasmtime::component::Instance;

use super::host_api::Ctx;
use super::types::{CallError, Kind};

/// The typed exports of one instance.
pub(super) enum Guest {
    Evaluator(evaluator::AlertEvaluator),
    Notifier(notifier::NotifierPlugin),
    Strategy(strategy::DiscoveryStrategy),
    Matcher(matcher::TalentMatcher),
    Embedder(embedder::TalentEmbedder),
    Parser(parser::ResumeParser),
}

impl Guest {
    /// Finds the exports of `kind` in an instance.
    pub(super) fn bind(kind: Kind, store: &mut Store<Ctx>, instance: &Instance) -> wasmtime::Result<Self> {
        Ok(match kind {
            Kind::AlertEvaluator => Self::Evaluator(evaluator::AlertEvaluator::new(store, instance)?),
            Kind::Notifier => Self::Notifier(notifier::NotifierPlugin::new(store, instance)?),
            Kind::DiscoveryStrategy => Self::Strategy(strategy::DiscoveryStrategy::new(store, instance)?),
            Kind::TalentMatcher => Self::Matcher(matcher::TalentMatcher::new(store, instance)?),
            Kind::TalentEmbedder => Self::Embedder(embedder::TalentEmbedder::new(store, instance)?),
            Kind::ResumeParser => Self::Parser(parser::ResumeParser::new(store, instance)?),
        })
    }
}

/// A call reached an instance of another kind, which `Version` rules out before.
pub(super) fn mismatch<T>() -> wasmtime::Result<T> {
    Err(wasmtime::Error::msg("the instance is of another kind"))
}

/// Refuses an answer.
pub(super) fn unacceptable<T>(what: impl Into<String>) -> Result<T, CallError> {
    Err(CallError::Contract(what.into()))
}

/// Refuses text that is longer than `most` bytes, or that no database takes.
pub(super) fn within(what: &str, text: &str, most: usize) -> Result<(), CallError> {
    if text.len() > most {
        return unacceptable(format!("{what} has {} bytes, at most {most} are taken", text.len()));
    }
    if text.contains('\0') {
        return unacceptable(format!("{what} holds the character NUL"));
    }
    Ok(())
}

/// Refuses a number that is none.
pub(super) fn finite(what: &str, value: f32) -> Result<(), CallError> {
    if !value.is_finite() {
        return unacceptable(format!("{what} is {value}"));
    }
    Ok(())
}
