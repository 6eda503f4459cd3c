//! Recommendations: which talents fit a project, in the judgement of a matcher plugin, and why.
//!
//! SQL finds the candidates, the plugin ranks them in one call and explains the page that is shown. What is shown is
//! logged with all it rests on, and takes feedback. No name, contact, picture or birth date ever reaches a plugin.
//!
//! Read on in `types`, `profile` (what the plugin is told), `queries`, `routes`.

mod profile;
mod queries;
mod routes;
mod types;

use std::sync::Arc;

use super::{
    base,
    projects::{Project, ProjectId},
};
use crate::{
    app::App,
    feed::{Actor, Changes},
    http::{
        error::{ApiError, ApiResult, Faults, OrNotFound as _},
        page::{self, Page},
    },
    plugins::{CallError, Candidate, Demand, Explanation, PluginName, PluginRef, Scored},
};

use queries::Found;
pub(super) use queries::{POSTGRES, SQLITE, STATEMENTS};
pub(super) use routes::routes;
use types::Asked;
pub use types::{Feedback, FeedbackFields, Recommendation, RecommendationId, Recommended};

/// How many candidates the plugin ranks: those that have most of the wanted skills.
const CANDIDATES: i64 = 500;
/// The configuration that matchers are called with: their own defaults.
const CONFIG: &str = "{}";

/// A candidate that was ranked: its place in what SQL found, and the score.
struct Ranked {
    index: usize,
    scored: Scored,
}

/// What was asked of a matcher, and who answered.
struct Judged {
    matcher: PluginName,
    demand: Arc<Demand>,
    candidates: Vec<Candidate>,
    by: PluginRef,
}

/// A project with those who might do it.
struct Gathered {
    project: ProjectId,
    found: Vec<Found>,
    demand: Arc<Demand>,
    candidates: Vec<Candidate>,
}

async fn gather(app: &App, project: &str) -> ApiResult<Gathered> {
    let mut on = app.db.read().await?;
    let project: Project = base::read(&mut on, project).await?;
    if project.fields.required_skills.is_empty() {
        return Err(ApiError::Conflict(
            "the project wants no skills, so there is nothing to find talents by".to_owned(),
        ));
    }
    let wanted = queries::wanted(&mut on, &project.project_id).await?;
    let found = queries::candidates(&mut on, &project.project_id, CANDIDATES).await?;
    let ids: Vec<_> = found.iter().map(|talent| talent.talent_id.clone()).collect();
    let skills = queries::skills_of(&mut on, &ids).await?;
    let experiences = queries::experiences_of(&mut on, &ids).await?;
    let demand = Arc::new(profile::demand(&project, &wanted));
    let candidates = profile::candidates(&found, &wanted, skills, experiences, app.clock.now());
    Ok(Gathered { project: project.project_id, found, demand, candidates })
}

/// A page of who fits a project best, logged.
async fn recommend(app: &App, actor: Actor, project: &str, asked: Asked) -> ApiResult<Page<Recommended>> {
    let limit = page::limit(asked.limit)?;
    let after: Option<(f32, String)> = page::cursor(asked.after.as_deref())?;
    let Gathered { project, found, demand, candidates } = gather(app, project).await?;
    let (mut ranked, judged) = rank(app, asked.matcher, demand, candidates).await?;
    let place = |ranked: &Ranked| (ranked.scored.score, found[ranked.index].talent_id.0.clone());
    let earlier = after.map_or(0, |after| ranked.partition_point(|one| !is_after(&place(one), &after)));
    let mut ranked = ranked.split_off(earlier);
    ranked.truncate(limit + 1);
    let page = Page::new(ranked, limit, place);
    let shown: Vec<_> = page.items.iter().map(|ranked| ranked.index).collect();
    let explanations = explain(app, &judged, &shown, asked.language).await?;
    let items = page.items.into_iter().zip(explanations).zip(earlier + 1..);
    let items = items.map(|((Ranked { index, scored }, explanation), position)| Recommended {
        name: found[index].name.clone(),
        current_position: found[index].current_position.clone(),
        log: Recommendation::new(types::Shown {
            id: RecommendationId(app.ids.next()),
            project_id: project.clone(),
            talent_id: found[index].talent_id.clone(),
            by: &judged.by,
            language: asked.language,
            position,
            scored,
            signals: judged.candidates[index].signals,
            explanation,
            at: app.clock.now(),
        }),
    });
    let items: Vec<_> = items.collect();
    let mut tx = app.db.write().await?;
    queries::insert(&mut tx, &items, &actor.name).await?;
    tx.commit().await?;
    Ok(Page { items, next: page.next })
}

/// Scores the candidates, the best first; one key decides between equal scores.
async fn rank(
    app: &App,
    matcher: PluginName,
    demand: Arc<Demand>,
    candidates: Vec<Candidate>,
) -> ApiResult<(Vec<Ranked>, Judged)> {
    let all: Arc<[Candidate]> = candidates.clone().into();
    let answer = app.plugins.score(&matcher, CONFIG, Arc::clone(&demand), all).await;
    let (scores, by) = answer.map_err(|error| refused(error, &matcher))?;
    let scored = scores.into_iter().enumerate();
    let mut ranked: Vec<_> = scored.map(|(index, scored)| Ranked { index, scored }).collect();
    let key = |ranked: &Ranked| candidates[ranked.index].profile.id.as_str();
    ranked.sort_by(|a, b| b.scored.score.total_cmp(&a.scored.score).then_with(|| key(a).cmp(key(b))));
    Ok((ranked, Judged { matcher, demand, candidates, by }))
}

/// Whether the first of two places comes after the second.
fn is_after(one: &(f32, String), other: &(f32, String)) -> bool {
    other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)).is_gt()
}

/// Why those at `shown` fit, in the words of the version that ranked them.
async fn explain(app: &App, judged: &Judged, shown: &[usize], language: &str) -> ApiResult<Vec<Explanation>> {
    let Judged { matcher, demand, candidates, by } = judged;
    let page: Arc<[Candidate]> = shown.iter().map(|&index| candidates[index].clone()).collect();
    let answer = app.plugins.explain(matcher, CONFIG, Arc::clone(demand), page, language).await;
    let (explanations, explained_by) = answer.map_err(|error| refused(error, matcher))?;
    if explained_by != *by {
        return Err(ApiError::Unavailable(format!("the plugin {matcher} was replaced meanwhile"), 1));
    }
    Ok(explanations)
}

/// A name that is none of a matcher is the caller's fault; the rest is told as plugins tell it.
fn refused(error: CallError, matcher: &PluginName) -> ApiError {
    match error {
        CallError::Unknown(_) => Faults::one("/matcher", format!("there is no plugin {matcher}")).into(),
        CallError::WrongKind { .. } => Faults::one("/matcher", error.to_string()).into(),
        CallError::Trap(_) | CallError::Timeout | CallError::Contract(_) | CallError::Permanent(_) => {
            ApiError::Unavailable(format!("the plugin {matcher} failed: {error}"), 5)
        }
        other => other.into(),
    }
}

/// Keeps what became of a recommendation.
async fn keep_feedback(app: &App, actor: Actor, id: &str, fields: FeedbackFields) -> ApiResult<Recommendation> {
    let mut faults = Faults::new();
    faults.text("/comment", fields.comment.as_deref().unwrap_or(""), 2000);
    faults.finish()?;
    if id.contains('\0') {
        return Err(ApiError::NotFound("recommendation".to_owned()));
    }
    let mut tx = app.db.write().await?;
    let kept = queries::set_feedback(&mut tx, id, &fields, &actor.name, app.clock.now()).await?;
    let kept = kept.or_not_found("recommendation")?;
    let after = serde_json::to_value(&fields).map_err(|error| ApiError::Internal(error.into()))?;
    let mut changes = Changes::by(actor);
    changes.audit("recommendation_logs", id, "feedback", None, Some(after));
    app.feed.commit(tx, changes).await?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_order_of_the_ranking() {
        let place = |score, key: &str| (score, key.to_owned());
        assert!(is_after(&place(0.4, "a"), &place(0.5, "b")));
        assert!(is_after(&place(0.5, "b"), &place(0.5, "a")));
        assert!(!is_after(&place(0.5, "a"), &place(0.5, "a")));
        assert!(!is_after(&place(0.6, "z"), &place(0.5, "a")));
    }
}
