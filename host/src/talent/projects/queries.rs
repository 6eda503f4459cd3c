//! SQL of projects and of the skills that they take.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::types::{Project, ProjectFields, ProjectId, RequiredSkill};
use crate::{
    db::{AsConn, Conn, Json, Result, Tx},
    on_db, statements,
    talent::base::Life,
};

statements! { STATEMENTS:
    SAVE = "INSERT INTO projects (project_id, name, description, start_date, end_date, status, company_id, is_deleted, \
        created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
        ON CONFLICT (project_id) DO UPDATE SET name = excluded.name, description = excluded.description, \
        start_date = excluded.start_date, end_date = excluded.end_date, status = excluded.status, \
        company_id = excluded.company_id, is_deleted = excluded.is_deleted, updated_at = excluded.updated_at";
    DELETE_SKILLS = "DELETE FROM project_skill_association WHERE project_id = $1";
}

statements! { SQLITE:
    INSERT_SKILLS_SQLITE = "INSERT INTO project_skill_association (project_id, skill_id, need, level, months, position) \
        SELECT $1, value ->> 'skill_id', value ->> 'need', value ->> 'level', value ->> 'months', key FROM json_each($2)";
    SKILLS_OF_SQLITE = "SELECT project_id, skill_id, need, level, months FROM project_skill_association \
        WHERE project_id IN (SELECT value FROM json_each($1)) ORDER BY project_id, position";
}

statements! { POSTGRES:
    INSERT_SKILLS_POSTGRES = "INSERT INTO project_skill_association (project_id, skill_id, need, level, months, position) \
        SELECT $1, value ->> 'skill_id', value ->> 'need', (value ->> 'level')::bigint, (value ->> 'months')::bigint, n \
        FROM jsonb_array_elements($2) WITH ORDINALITY AS one (value, n)";
    SKILLS_OF_POSTGRES = "SELECT project_id, skill_id, need, level, months FROM project_skill_association \
        WHERE project_id = ANY($1) ORDER BY project_id, position";
}

#[derive(sqlx::FromRow)]
struct SkillRow {
    project_id: ProjectId,
    #[sqlx(flatten)]
    skill: RequiredSkill,
}

/// The skills of each of these projects, in the projects' order.
pub(super) async fn skills_of(
    on: &mut dyn AsConn,
    ids: &[ProjectId],
) -> Result<HashMap<ProjectId, Vec<RequiredSkill>>> {
    let rows: Vec<SkillRow> = match on.conn() {
        Conn::Sqlite(c) => sqlx::query_as(SKILLS_OF_SQLITE).bind(Json(ids)).fetch_all(c).await?,
        Conn::Postgres(c) => sqlx::query_as(SKILLS_OF_POSTGRES).bind(ids).fetch_all(c).await?,
    };
    let mut skills: HashMap<_, Vec<_>> = HashMap::new();
    for SkillRow { project_id, skill } in rows {
        skills.entry(project_id).or_default().push(skill);
    }
    Ok(skills)
}

pub(super) async fn save(tx: &mut Tx, project: &Project) -> Result<()> {
    let Project { project_id, fields, life: Life { is_deleted, created_at, updated_at } } = project;
    let ProjectFields { name, description, start_date, end_date, status, company_id, required_skills: _ } = fields;
    on_db!(tx, |c| sqlx::query(SAVE)
        .bind(project_id)
        .bind(name)
        .bind(description)
        .bind(start_date)
        .bind(end_date)
        .bind(status)
        .bind(company_id)
        .bind(is_deleted)
        .bind(created_at)
        .bind(updated_at)
        .execute(c)
        .await
        .map(drop))
}

/// Puts the skills of a project in the place of those that were there.
pub(super) async fn save_skills(tx: &mut Tx, project: &Project) -> Result<()> {
    let id = &project.project_id;
    on_db!(tx, |c| sqlx::query(DELETE_SKILLS).bind(id).execute(c).await.map(drop))?;
    let skills = &project.fields.required_skills;
    let row = |RequiredSkill { skill_id, need, level, months }: &RequiredSkill| json!({"skill_id": skill_id, "need": need, "level": level, "months": months});
    let rows: Vec<Value> = skills.iter().map(row).collect();
    match tx.conn() {
        Conn::Sqlite(c) => sqlx::query(INSERT_SKILLS_SQLITE).bind(id).bind(Json(rows)).execute(c).await.map(drop),
        Conn::Postgres(c) => sqlx::query(INSERT_SKILLS_POSTGRES).bind(id).bind(Json(rows)).execute(c).await.map(drop),
    }
}
