//! HTTP of recommendations.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, header},
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::types::{Asked, FeedbackFields, Recommendation, Recommended};
use crate::{
    app::App,
    http::{
        auth::{TalentsRead, TalentsWrite},
        body::Body,
        error::{ApiResult, Faults, Problem},
        page::{Page, Params},
    },
};

/// The routes of recommendations.
pub(in crate::talent) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(give_feedback))
}

/// Which recommendations to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RecommendationQuery {
    /// At most this many, 1 to 1000; 100 when absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
    /// The plugin that ranks and explains; `skill-match` when absent.
    matcher: Option<String>,
}

/// Ranks the talents that have some of the skills that a project takes, and says why, in English or Chinese as
/// `Accept-Language` prefers. What it shows is logged, and takes feedback.
#[utoipa::path(get, path = "/projects/{id}/recommendations", operation_id = "list_recommendations", tag = "projects", params(("id" = String, Path), RecommendationQuery, ("Accept-Language" = Option<String>, Header)), responses((status = 200, body = Page<Recommended>), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)), extensions(("x-looma-access" = json!("talents:read"))))]
async fn list(
    who: TalentsRead,
    State(app): State<App>,
    Path(id): Path<String>,
    Params(query): Params<RecommendationQuery>,
    headers: HeaderMap,
) -> ApiResult<Json<Page<Recommended>>> {
    let RecommendationQuery { limit, after, matcher } = query;
    let matcher = matcher.as_deref().unwrap_or("skill-match");
    let matcher = matcher.parse().map_err(|why: String| Faults::one("/matcher", why))?;
    let wanted = headers.get(header::ACCEPT_LANGUAGE).and_then(|wanted| wanted.to_str().ok()).unwrap_or("");
    let asked = Asked { limit, after, matcher, language: preferred(wanted) };
    Ok(Json(super::recommend(&app, who.actor(), &id, asked).await?))
}

/// Keeps what became of a recommendation.
#[utoipa::path(post, path = "/recommendations/{id}/feedback", operation_id = "give_feedback", tag = "projects", params(("id" = String, Path)), request_body = FeedbackFields, responses((status = 200, body = Recommendation), (status = 404, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("talents:write"))))]
async fn give_feedback(
    who: TalentsWrite,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(fields): Body<FeedbackFields>,
) -> ApiResult<Json<Recommendation>> {
    Ok(Json(super::keep_feedback(&app, who.actor(), &id, fields).await?))
}

/// `zh` or `en`, whichever `Accept-Language` weighs more (RFC 9110, section 12.5.4); `en` when it names neither.
fn preferred(wanted: &str) -> &'static str {
    let mut best = ("en", 0.0);
    for range in wanted.split(',') {
        let (tag, weight) = range.split_once(";q=").unwrap_or((range, "1"));
        let weight = weight.trim().parse().unwrap_or(0.0);
        let primary = tag.trim().split('-').next().unwrap_or("").to_ascii_lowercase();
        let known = ["en", "zh"].into_iter().find(|known| *known == primary);
        if let Some(known) = known.filter(|_| weight > best.1) {
            best = (known, weight);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::preferred;

    #[test]
    fn the_heavier_language_is_taken() {
        for (wanted, expected) in [
            ("", "en"),
            ("fr", "en"),
            ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
            ("en;q=0.5, zh;q=0.7", "zh"),
            ("en, zh", "en"),
            ("zh;q=0", "en"),
        ] {
            assert_eq!(preferred(wanted), expected, "{wanted}");
        }
    }
}
