//! SQL of skills.

use super::types::{Skill, SkillFields, SkillId};
use crate::{
    db::{Result, Tx},
    on_db, statements,
    talent::{base::Life, text::folded},
};

statements! { STATEMENTS:
    SAVE = "INSERT INTO skills (skill_id, name, name_key, category, description, icon, is_deleted, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
        ON CONFLICT (skill_id) DO UPDATE SET name = excluded.name, name_key = excluded.name_key, \
        category = excluded.category, description = excluded.description, icon = excluded.icon, \
        is_deleted = excluded.is_deleted, updated_at = excluded.updated_at";
    WITH_NAME = "SELECT skill_id FROM skills WHERE name_key = $1 AND is_deleted = FALSE AND skill_id <> $2";
    USES = "SELECT (SELECT count(*) FROM talent_skill_association WHERE skill_id = $1) AS talents, \
        (SELECT count(*) FROM project_skill_association WHERE skill_id = $1) AS projects";
}

/// Another skill, not deleted, with the name of this one.
pub(super) async fn with_same_name(tx: &mut Tx, skill: &Skill) -> Result<Option<SkillId>> {
    let name = folded(&skill.fields.name);
    on_db!(tx, |c| sqlx::query_scalar(WITH_NAME).bind(name).bind(&skill.skill_id).fetch_optional(c).await)
}

/// How many talents have it, and how many projects want it.
pub(super) async fn uses(tx: &mut Tx, id: &SkillId) -> Result<(i64, i64)> {
    on_db!(tx, |c| sqlx::query_as(USES).bind(id).fetch_one(c).await)
}

pub(super) async fn save(tx: &mut Tx, skill: &Skill) -> Result<()> {
    let Skill { skill_id, fields: SkillFields { name, category, description, icon }, life } = skill;
    let Life { is_deleted, created_at, updated_at } = life;
    on_db!(tx, |c| sqlx::query(SAVE)
        .bind(skill_id)
        .bind(name)
        .bind(folded(name))
        .bind(category)
        .bind(description)
        .bind(icon)
        .bind(is_deleted)
        .bind(created_at)
        .bind(updated_at)
        .execute(c)
        .await
        .map(drop))
}
