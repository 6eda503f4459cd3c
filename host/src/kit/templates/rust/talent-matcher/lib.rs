//! A talent matcher: the share of the skills that are asked for, and a little of what the host's own search found. It is a pure
//! function, and never learns a name or a contact.

mod lifecycle;

use exports::looma::talent::matcher::{Candidate, Demand, Evidence, Explanation, Guest, PluginError, Scored};
use looma::{
    plugin::types::Problem,
    talent::types::{Profile, Skill},
};
use serde::Deserialize;

wit_bindgen::generate!({
    path: ["wit/plugin", "wit/host", "wit/talent"],
    world: "looma:talent/talent-matcher",
    generate_all,
});

/// The configuration; `schema.json` describes it to people and forms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How much skills count beside the host's search, 0 to 1.
    #[serde(default = "weight")]
    skills_weight: f32,
}

fn weight() -> f32 {
    0.8
}

impl Config {
    /// What is wrong with it that its type cannot say.
    fn faults(&self) -> Vec<Problem> {
        if (0.0..=1.0).contains(&self.skills_weight) {
            return Vec::new();
        }
        vec![lifecycle::problem("/skills_weight", "must be 0 to 1")]
    }
}

/// The plugin.
struct Component;

impl Guest for Component {
    fn score(config: String, need: Demand, candidates: Vec<Candidate>) -> Result<Vec<Scored>, PluginError> {
        let config = lifecycle::read(&config)?;
        let score = |candidate: &Candidate| {
            let (matched, _) = split(&need, &candidate.profile);
            let share = if need.must.is_empty() { 1.0 } else { matched.len() as f32 / need.must.len() as f32 };
            let skills = share * config.skills_weight;
            let search = candidate.signals.lexical * (1.0 - config.skills_weight);
            // The parts must add up to the score.
            Scored { score: skills + search, parts: vec![("skills".to_owned(), skills), ("search".to_owned(), search)] }
        };
        Ok(candidates.iter().map(score).collect())
    }

    fn explain(
        config: String,
        need: Demand,
        candidates: Vec<Candidate>,
        _language: String,
    ) -> Result<Vec<Explanation>, PluginError> {
        lifecycle::read(&config)?;
        let explain = |candidate: &Candidate| {
            let (matched, missing) = split(&need, &candidate.profile);
            let text = format!("{} of {} skills", matched.len(), need.must.len());
            let evidence = |skills: Vec<&Skill>| skills.into_iter().map(evidence).collect();
            Explanation { matched: evidence(matched), missing: evidence(missing), text }
        };
        Ok(candidates.iter().map(explain).collect())
    }
}

export!(Component);

/// The skills that must be there: those that are, and those that are not.
fn split<'a>(need: &'a Demand, profile: &Profile) -> (Vec<&'a Skill>, Vec<&'a Skill>) {
    let has = |wanted: &Skill| profile.skills.iter().any(|skill| skill.label.eq_ignore_ascii_case(&wanted.label));
    need.must.iter().partition(|wanted| has(wanted))
}

fn evidence(skill: &Skill) -> Evidence {
    Evidence { kind: "skill".to_owned(), label: skill.label.clone(), weight: 1.0, source: "profile".to_owned() }
}
