//! Bundled talent matcher: how well the skills, the experience and the host's own signals fit a demand.

mod explain;
mod skills;

use looma_plugin_sdk::{Candidate, Demand, Explanation, Matcher, Plugin, PluginError, Problem, Scored, problem};
use serde::Deserialize;

/// The configuration: how much each part counts. Only their proportions matter.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    must: f32,
    nice: f32,
    experience: f32,
    lexical: f32,
    vector: f32,
    graph: f32,
    recency: f32,
    clicks: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            must: 0.45,
            nice: 0.15,
            experience: 0.1,
            lexical: 0.08,
            vector: 0.12,
            graph: 0.04,
            recency: 0.04,
            clicks: 0.02,
        }
    }
}

impl Config {
    fn weights(&self) -> [(&'static str, f32); 8] {
        let Self { must, nice, experience, lexical, vector, graph, recency, clicks } = *self;
        [
            ("must", must),
            ("nice", nice),
            ("experience", experience),
            ("lexical", lexical),
            ("vector", vector),
            ("graph", graph),
            ("recency", recency),
            ("clicks", clicks),
        ]
    }
}

/// The plugin.
pub struct SkillMatch;

impl Plugin for SkillMatch {
    type Config = Config;
    const NAME: &'static str = "skill-match";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = env!("CARGO_PKG_DESCRIPTION");
    const SCHEMA: &'static str = include_str!("schema.json");

    fn faults(config: &Config) -> Vec<Problem> {
        let weights = config.weights();
        let wrong = weights.iter().filter(|(_, weight)| !(0.0..=1000.0).contains(weight));
        let mut faults: Vec<Problem> =
            wrong.map(|(name, _)| problem(format!("/{name}"), "must be 0 to 1000")).collect();
        if faults.is_empty() && weights.iter().all(|(_, weight)| *weight == 0.0) {
            faults.push(problem("", "one weight at least must be above 0"));
        }
        faults
    }
}

impl Matcher for SkillMatch {
    fn score(config: &Config, need: &Demand, candidates: &[Candidate]) -> Result<Vec<Scored>, PluginError> {
        Ok(candidates.iter().map(|candidate| score(config, need, candidate)).collect())
    }

    fn explain(_: &Config, need: &Demand, all: &[Candidate], language: &str) -> Result<Vec<Explanation>, PluginError> {
        Ok(all.iter().map(|candidate| explain::explain(need, &candidate.profile, language)).collect())
    }
}

looma_plugin_sdk::matcher!(SkillMatch);

/// A score of 0 to 1. What the demand does not ask for does not count, and the weight of the rest grows in proportion.
fn score(config: &Config, need: &Demand, candidate: &Candidate) -> Scored {
    let Candidate { profile, signals } = candidate;
    let asked = |part: Option<f32>| part.map(|value| value.clamp(0.0, 1.0));
    let values = [
        skills::coverage(&need.must, &profile.skills),
        skills::coverage(&need.nice, &profile.skills),
        need.min_months.filter(|&months| months > 0).map(|months| skills::practice(months, profile.months_total)),
        Some(signals.lexical),
        Some(signals.vector),
        Some(signals.graph),
        Some(signals.recency),
        Some(signals.clicks),
    ];
    let values = values.map(asked);
    let weights = config.weights();
    let total: f32 =
        weights.iter().zip(values).filter(|(_, value)| value.is_some()).map(|((_, weight), _)| weight).sum();
    let part = |((name, weight), value): (&(&str, f32), Option<f32>)| {
        let value = value.filter(|value| value.is_finite())?;
        (total > 0.0).then(|| ((*name).to_owned(), weight / total * value))
    };
    let parts: Vec<(String, f32)> = weights.iter().zip(values).filter_map(part).collect();
    Scored { score: parts.iter().map(|(_, part)| part).sum(), parts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skills::tests::{demand, profile, skill};
    use looma_plugin_sdk::Signals;

    fn candidate(skills: &[(&str, u8)], months: u32) -> Candidate {
        let skills = skills.iter().map(|(label, level)| skill(label, Some(*level))).collect();
        let signals = Signals { lexical: 0.5, vector: 0.5, graph: 0.0, recency: 0.5, clicks: 0.0 };
        Candidate { profile: profile(skills, months), signals }
    }

    #[test]
    fn parts_add_up_and_better_fits_score_higher() {
        let need = demand(vec![skill("Rust", Some(4)), skill("SQL", None)], Some(36));
        let scored = |skills: &[(&str, u8)], months| score(&Config::default(), &need, &candidate(skills, months));
        let (both, weak, one, none) = (
            scored(&[("rust", 5), ("SQL", 3)], 48),
            scored(&[("rust", 2), ("SQL", 3)], 48),
            scored(&[("SQL", 3)], 48),
            scored(&[], 48),
        );
        assert!(both.score > weak.score && weak.score > one.score && one.score > none.score);
        for scored in [both, weak, one, none] {
            let sum: f32 = scored.parts.iter().map(|(_, part)| part).sum();
            assert!((sum - scored.score).abs() < 1e-5 && (0.0..=1.0).contains(&scored.score));
        }
    }

    #[test]
    fn what_is_not_asked_for_does_not_count() {
        let scored = score(&Config::default(), &demand(Vec::new(), None), &candidate(&[], 0));
        assert!(scored.parts.iter().all(|(name, _)| !matches!(name.as_str(), "must" | "nice" | "experience")));
    }

    #[test]
    fn weights_that_are_none_are_faults() {
        let faults = looma_plugin_sdk::config::check::<SkillMatch>(r#"{"must": -1}"#);
        assert_eq!(faults[0].pointer, "/must");
        assert!(looma_plugin_sdk::config::check::<SkillMatch>("{}").is_empty());
    }
}
