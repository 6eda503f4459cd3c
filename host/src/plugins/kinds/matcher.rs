//! Talent matchers: how well talents fit a demand, and why.

use std::sync::Arc;

use crate::plugins::stats::Function;
use crate::plugins::types::CallError;
use crate::plugins::version::{Live, Version};

use super::{Guest, finite, mismatch, unacceptable, within};

wasmtime::component::bindgen!({
    path: ["../wit/plugin", "../wit/host", "../wit/talent"],
    world: "looma:talent/talent-matcher",
    imports: { default: trappable },
    with: {
        "looma:plugin/types@0.1.0": crate::plugins::bindings::looma::plugin::types,
        "looma:host/log@0.1.0": crate::plugins::bindings::looma::host::log,
    },
    additional_derives: [PartialEq],
});

pub use exports::looma::talent::matcher::{Candidate, Explanation, Scored, Signals};
pub use looma::talent::types::{Demand, Evidence, Profile, Skill};

/// How far the parts of a score may be from their sum.
const TOLERANCE: f32 = 1e-3;
const CANDIDATES: usize = 5_000;
const PARTS: usize = 32;
const EVIDENCE: usize = 200;

pub(in crate::plugins) async fn score(
    version: &Version,
    config: &str,
    need: Arc<Demand>,
    candidates: Arc<[Candidate]>,
) -> Result<Vec<Scored>, CallError> {
    check_count(candidates.len())?;
    let config = config.to_owned();
    let asked = candidates.len();
    let call = move |Live { store, guest, .. }: &mut Live| match guest {
        Guest::Matcher(guest) => guest.looma_talent_matcher().call_score(store, &config, &need, &candidates),
        _ => mismatch(),
    };
    let scores = version.pure(Function::Score, call).await??;
    if scores.len() != asked {
        return unacceptable(format!("{} scores for {asked} candidates", scores.len()));
    }
    scores.iter().try_for_each(check_scored)?;
    Ok(scores)
}

pub(in crate::plugins) async fn explain(
    version: &Version,
    config: &str,
    need: Arc<Demand>,
    candidates: Arc<[Candidate]>,
    language: &str,
) -> Result<Vec<Explanation>, CallError> {
    check_count(candidates.len())?;
    let (config, language) = (config.to_owned(), language.to_owned());
    let asked = candidates.len();
    let call = move |Live { store, guest, .. }: &mut Live| match guest {
        Guest::Matcher(guest) => {
            guest.looma_talent_matcher().call_explain(store, &config, &need, &candidates, &language)
        }
        _ => mismatch(),
    };
    let explanations = version.pure(Function::Explain, call).await??;
    if explanations.len() != asked {
        return unacceptable(format!("{} explanations for {asked} candidates", explanations.len()));
    }
    explanations.iter().try_for_each(check_explanation)?;
    Ok(explanations)
}

fn check_count(candidates: usize) -> Result<(), CallError> {
    if candidates > CANDIDATES {
        return Err(CallError::Limit(format!("{candidates} candidates in one call, at most {CANDIDATES} are taken")));
    }
    Ok(())
}

fn check_scored(Scored { score, parts }: &Scored) -> Result<(), CallError> {
    finite("a score", *score)?;
    if parts.len() > PARTS {
        return unacceptable(format!("a score of {} parts, at most {PARTS} are taken", parts.len()));
    }
    let mut sum = 0.0;
    for (name, part) in parts {
        within("the name of a part", name, 100)?;
        finite("a part of a score", *part)?;
        sum += part;
    }
    if (sum - score).abs() > TOLERANCE {
        return unacceptable(format!("the parts of a score add up to {sum} and not to {score}"));
    }
    Ok(())
}

fn check_explanation(Explanation { matched, missing, text }: &Explanation) -> Result<(), CallError> {
    within("an explanation", text, 4_000)?;
    if matched.len() > EVIDENCE || missing.len() > EVIDENCE {
        return unacceptable(format!("more than {EVIDENCE} pieces of evidence"));
    }
    for Evidence { kind, label, weight, source } in matched.iter().chain(missing) {
        within("the kind of evidence", kind, 100)?;
        within("the label of evidence", label, 500)?;
        within("the source of evidence", source, 500)?;
        finite("the weight of evidence", *weight)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_the_score() {
        let scored =
            |score, parts: &[f32]| Scored { score, parts: parts.iter().map(|&p| ("p".to_owned(), p)).collect() };
        assert!(check_scored(&scored(0.6, &[0.4, 0.2])).is_ok());
        assert!(check_scored(&scored(0.6, &[0.4])).is_err());
        assert!(check_scored(&scored(f32::NAN, &[])).is_err());
    }
}
