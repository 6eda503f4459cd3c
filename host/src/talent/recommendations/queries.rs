//! SQL of recommendations: candidates, what is known of them, and the log.

use serde_json::{Value, json};

use super::types::{FeedbackFields, Matcher, Recommendation, Recommended};
use crate::{
    clock::Timestamp,
    db::{AsConn, Conn, Json, Result, Tx},
    on_db, statements,
    talent::{
        projects::{Need, ProjectId},
        skills::SkillId,
        talents::TalentId,
        text::Date,
    },
};

macro_rules! columns {
    () => {
        "recommendation_id, project_id, talent_id, plugin_name, plugin_version, plugin_digest, language, position, score, \
         parts, signals, explanation, feedback, comment, feedback_at, created_at"
    };
}

macro_rules! inserted {
    () => {
        "INSERT INTO recommendation_logs (recommendation_id, project_id, talent_id, plugin_name, plugin_version, \
         plugin_digest, language, position, score, parts, signals, explanation, requested_by, created_at) "
    };
}

macro_rules! skills_of {
    () => {
        "SELECT had.talent_id, had.skill_id, skills.name, had.level, had.months, had.last_used \
         FROM talent_skill_association AS had JOIN skills ON skills.skill_id = had.skill_id WHERE had.talent_id "
    };
}

macro_rules! experiences_of {
    () => {
        "SELECT talent_id, position, start_date, end_date FROM work_experiences WHERE talent_id "
    };
}

statements! { STATEMENTS:
    WANTED = "SELECT wanted.skill_id, skills.name, wanted.need, wanted.level, wanted.months \
        FROM project_skill_association AS wanted JOIN skills ON skills.skill_id = wanted.skill_id \
        WHERE wanted.project_id = $1 ORDER BY wanted.position";
    CANDIDATES = "WITH matched AS MATERIALIZED (SELECT had.talent_id, \
        count(*) FILTER (WHERE wanted.need = 'must') AS must, count(*) AS n FROM project_skill_association AS wanted \
        JOIN talent_skill_association AS had ON had.skill_id = wanted.skill_id WHERE wanted.project_id = $1 \
        GROUP BY had.talent_id ORDER BY must DESC, n DESC, had.talent_id LIMIT $2) \
        SELECT talents.talent_id, talents.name, talents.current_position, talents.industry, talents.education_level, \
        talents.major FROM matched JOIN talents ON talents.talent_id = matched.talent_id \
        WHERE talents.is_deleted = FALSE AND talents.status <> 'inactive' \
        ORDER BY matched.must DESC, matched.n DESC, talents.talent_id LIMIT $3";
    SET_FEEDBACK = concat!("UPDATE recommendation_logs SET feedback = $2, comment = $3, feedback_by = $4, feedback_at = $5 \
        WHERE recommendation_id = $1 RETURNING ", columns!());
}

statements! { SQLITE:
    SKILLS_OF_SQLITE = concat!(skills_of!(), "IN (SELECT value FROM json_each($1)) ORDER BY had.talent_id, had.skill_id");
    EXPERIENCES_OF_SQLITE = concat!(experiences_of!(), "IN (SELECT value FROM json_each($1)) \
        ORDER BY talent_id, start_date DESC, experience_id");
    INSERT_SQLITE = concat!(inserted!(), "SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, \
        value ->> 5, value ->> 6, value ->> 7, value ->> 8, value -> 9, value -> 10, value -> 11, $2, $3 \
        FROM json_each($1)");
}

statements! { POSTGRES:
    SKILLS_OF_POSTGRES = concat!(skills_of!(), "= ANY($1) ORDER BY had.talent_id, had.skill_id");
    EXPERIENCES_OF_POSTGRES = concat!(experiences_of!(), "= ANY($1) ORDER BY talent_id, start_date DESC, experience_id");
    INSERT_POSTGRES = concat!(inserted!(), "SELECT row ->> 0, row ->> 1, row ->> 2, row ->> 3, row ->> 4, row ->> 5, \
        row ->> 6, (row ->> 7)::bigint, (row ->> 8)::double precision, row -> 9, row -> 10, row -> 11, $2, $3 \
        FROM jsonb_array_elements($1) AS row");
}

/// A skill that a project takes, by name.
#[derive(sqlx::FromRow)]
pub(super) struct Wanted {
    pub skill_id: SkillId,
    pub name: String,
    pub need: Need,
    pub level: Option<i64>,
    pub months: Option<i64>,
}

/// A talent that has some of the wanted skills.
#[derive(sqlx::FromRow)]
pub(super) struct Found {
    pub talent_id: TalentId,
    pub name: String,
    pub current_position: Option<String>,
    pub industry: Option<String>,
    pub education_level: Option<String>,
    pub major: Option<String>,
}

/// A skill of a talent, by name.
#[derive(sqlx::FromRow)]
pub(super) struct Had {
    pub talent_id: TalentId,
    pub skill_id: SkillId,
    pub name: String,
    pub level: Option<i64>,
    pub months: Option<i64>,
    pub last_used: Option<Date>,
}

/// An experience of a talent, without the company.
#[derive(sqlx::FromRow)]
pub(super) struct ExperienceRow {
    pub talent_id: TalentId,
    pub position: String,
    pub start_date: Option<Date>,
    pub end_date: Option<Date>,
}

pub(super) async fn wanted(on: &mut dyn AsConn, project: &ProjectId) -> Result<Vec<Wanted>> {
    on_db!(on, |c| sqlx::query_as(WANTED).bind(project).fetch_all(c).await)
}

/// Talents that have any of the skills that a project takes and are not inactive, at most `limit`: most matches first,
/// those with what it cannot do without before all. It looks at no more than four times as many.
pub(super) async fn candidates(on: &mut dyn AsConn, project: &ProjectId, limit: i64) -> Result<Vec<Found>> {
    on_db!(on, |c| sqlx::query_as(CANDIDATES).bind(project).bind(limit * 4).bind(limit).fetch_all(c).await)
}

pub(super) async fn skills_of(on: &mut dyn AsConn, talents: &[TalentId]) -> Result<Vec<Had>> {
    match on.conn() {
        Conn::Sqlite(c) => sqlx::query_as(SKILLS_OF_SQLITE).bind(Json(talents)).fetch_all(c).await,
        Conn::Postgres(c) => sqlx::query_as(SKILLS_OF_POSTGRES).bind(talents).fetch_all(c).await,
    }
}

pub(super) async fn experiences_of(on: &mut dyn AsConn, talents: &[TalentId]) -> Result<Vec<ExperienceRow>> {
    match on.conn() {
        Conn::Sqlite(c) => sqlx::query_as(EXPERIENCES_OF_SQLITE).bind(Json(talents)).fetch_all(c).await,
        Conn::Postgres(c) => sqlx::query_as(EXPERIENCES_OF_POSTGRES).bind(talents).fetch_all(c).await,
    }
}

/// Logs what is about to be shown.
pub(super) async fn insert(tx: &mut Tx, shown: &[Recommended], requested_by: &str) -> Result<()> {
    let Some(first) = shown.first() else { return Ok(()) };
    let at = first.log.created_at;
    let rows: Vec<Value> = shown.iter().map(|Recommended { log, .. }| row(log)).collect();
    match tx.conn() {
        Conn::Sqlite(c) => {
            sqlx::query(INSERT_SQLITE).bind(Json(rows)).bind(requested_by).bind(at).execute(c).await.map(drop)
        }
        Conn::Postgres(c) => {
            sqlx::query(INSERT_POSTGRES).bind(Json(rows)).bind(requested_by).bind(at).execute(c).await.map(drop)
        }
    }
}

fn row(log: &Recommendation) -> Value {
    let Recommendation { recommendation_id, project_id, talent_id, plugin, language, position, score, .. } = log;
    let Recommendation { parts, signals, explanation, .. } = log;
    let Matcher { name, version, digest } = plugin;
    json!([
        recommendation_id,
        project_id,
        talent_id,
        name,
        version,
        digest,
        language,
        position,
        score,
        parts,
        signals,
        explanation
    ])
}

/// Keeps what became of a recommendation; the last word counts.
pub(super) async fn set_feedback(
    tx: &mut Tx,
    id: &str,
    FeedbackFields { feedback, comment }: &FeedbackFields,
    by: &str,
    at: Timestamp,
) -> Result<Option<Recommendation>> {
    on_db!(tx, |c| sqlx::query_as(SET_FEEDBACK)
        .bind(id)
        .bind(feedback)
        .bind(comment)
        .bind(by)
        .bind(at)
        .fetch_optional(c)
        .await)
}
