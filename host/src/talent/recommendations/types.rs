//! What a recommendation is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    clock::Timestamp,
    db::Json,
    id,
    plugins::{self, Explanation, PluginName, PluginRef, Scored},
    talent::{projects::ProjectId, talents::TalentId},
    text_enum,
};

id! {
    /// A recommendation that was shown.
    RecommendationId,
}

text_enum! {
    /// What became of a recommendation.
    pub enum Feedback {
        /// It fits.
        Relevant = "relevant",
        /// It does not.
        Irrelevant = "irrelevant",
        /// They were asked.
        Contacted = "contacted",
        /// They do it.
        Hired = "hired",
        /// They do not.
        Rejected = "rejected",
    }
}

/// What a caller writes of what became of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedbackFields {
    /// What became of it.
    pub feedback: Feedback,
    /// What else is to be said.
    pub comment: Option<String>,
}

/// Which recommendations are asked for.
#[derive(Debug)]
pub struct Asked {
    /// At most this many.
    pub limit: Option<i64>,
    /// The cursor.
    pub after: Option<String>,
    /// Who ranks.
    pub matcher: PluginName,
    /// In which language it is explained.
    pub language: &'static str,
}

/// A part of a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScorePart {
    /// What it is for.
    pub name: String,
    /// How much it adds.
    pub value: f64,
}

/// What the host found, each 0 to 1; what it does not measure is 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Signals {
    /// The share of the wanted skills that is there.
    pub lexical: f64,
    /// Closeness of meaning.
    pub vector: f64,
    /// Closeness of acquaintance.
    pub graph: f64,
    /// How lately the wanted skills were used.
    pub recency: f64,
    /// How such recommendations fared.
    pub clicks: f64,
}

/// Why something counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// What kind of thing it is.
    pub kind: String,
    /// What it is called.
    pub label: String,
    /// How much it weighs.
    pub weight: f64,
    /// Where it was found.
    pub source: String,
}

/// Why a talent has its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// What is there.
    pub matched: Vec<Evidence>,
    /// What is not.
    pub missing: Vec<Evidence>,
    /// In words.
    pub text: String,
}

/// Exactly which plugin judged.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Matcher {
    /// Its name.
    #[sqlx(rename = "plugin_name")]
    pub name: String,
    /// The version that it says it is.
    #[sqlx(rename = "plugin_version")]
    pub version: String,
    /// SHA-256 of its file, in hexadecimal.
    #[sqlx(rename = "plugin_digest")]
    pub digest: String,
}

/// A recommendation as it was shown and logged.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Recommendation {
    /// Its key, for feedback.
    pub recommendation_id: RecommendationId,
    /// For which project.
    pub project_id: ProjectId,
    /// Who.
    pub talent_id: TalentId,
    /// Who judged.
    #[sqlx(flatten)]
    pub plugin: Matcher,
    /// In which language.
    pub language: String,
    /// The place in the ranking, from 1.
    pub position: i64,
    /// How well it fits.
    pub score: f64,
    /// What the score is made of.
    #[schema(value_type = Vec<ScorePart>)]
    pub parts: Json<Vec<ScorePart>>,
    /// What the host found.
    #[schema(value_type = Signals)]
    pub signals: Json<Signals>,
    /// Why.
    #[schema(value_type = Why)]
    pub explanation: Json<Why>,
    /// What became of it.
    pub feedback: Option<Feedback>,
    /// What else was said.
    pub comment: Option<String>,
    /// When that was said.
    pub feedback_at: Option<Timestamp>,
    /// When it was shown.
    pub created_at: Timestamp,
}

/// A recommendation with what tells people who it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Recommended {
    /// The talent's name.
    pub name: String,
    /// What the talent does now.
    pub current_position: Option<String>,
    /// The rest.
    #[serde(flatten)]
    pub log: Recommendation,
}

/// What a recommendation is made of.
pub(super) struct Shown<'a> {
    pub id: RecommendationId,
    pub project_id: ProjectId,
    pub talent_id: TalentId,
    pub by: &'a PluginRef,
    pub language: &'a str,
    pub position: usize,
    pub scored: Scored,
    pub signals: plugins::Signals,
    pub explanation: Explanation,
    pub at: Timestamp,
}

impl Recommendation {
    pub(super) fn new(shown: Shown<'_>) -> Self {
        let Shown { id, project_id, talent_id, by, language, position, scored, signals, explanation, at } = shown;
        let plugins::Signals { lexical, vector, graph, recency, clicks } = signals;
        let parts = scored.parts.into_iter().map(|(name, value)| ScorePart { name, value: six_digits(value) });
        Self {
            recommendation_id: id,
            project_id,
            talent_id,
            plugin: Matcher { name: by.name.to_string(), version: without_nul(&by.version), digest: by.digest.clone() },
            language: language.to_owned(),
            position: i64::try_from(position).unwrap_or(i64::MAX),
            score: six_digits(scored.score),
            parts: Json(parts.map(|part| ScorePart { name: without_nul(&part.name), ..part }).collect()),
            signals: Json(Signals {
                lexical: six_digits(lexical),
                vector: six_digits(vector),
                graph: six_digits(graph),
                recency: six_digits(recency),
                clicks: six_digits(clicks),
            }),
            explanation: Json(why(explanation)),
            feedback: None,
            comment: None,
            feedback_at: None,
            created_at: at,
        }
    }
}

fn why(Explanation { matched, missing, text }: Explanation) -> Why {
    let evidence = |all: Vec<plugins::Evidence>| {
        let one = |plugins::Evidence { kind, label, weight, source }: plugins::Evidence| Evidence {
            kind: without_nul(&kind),
            label: without_nul(&label),
            weight: six_digits(weight),
            source: without_nul(&source),
        };
        all.into_iter().map(one).collect()
    };
    Why { matched: evidence(matched), missing: evidence(missing), text: without_nul(&text) }
}

/// A plugin's number to six digits: the noise of single precision is not shown.
fn six_digits(number: f32) -> f64 {
    (f64::from(number) * 1e6).round() / 1e6
}

/// A plugin's words without the one character that PostgreSQL does not keep.
fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}
