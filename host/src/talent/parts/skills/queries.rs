//! SQL of skills of talents.

use super::types::TalentSkillFields;
use crate::{
    db::{Result, Tx},
    on_db, statements,
    talent::parts::{PartKey, Times},
};

statements! { STATEMENTS:
    SAVE = "INSERT INTO talent_skill_association (talent_id, skill_id, level, months, last_used, endorsements, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
        ON CONFLICT (talent_id, skill_id) DO UPDATE SET level = excluded.level, months = excluded.months, last_used = excluded.last_used, endorsements = excluded.endorsements, updated_at = excluded.updated_at";
}

pub(super) async fn save(tx: &mut Tx, at: &PartKey, fields: &TalentSkillFields, times: &Times) -> Result<()> {
    let TalentSkillFields { level, months, last_used, endorsements } = fields;
    on_db!(tx, |c| sqlx::query(SAVE)
        .bind(&at.talent_id)
        .bind(&at.key)
        .bind(level)
        .bind(months)
        .bind(last_used)
        .bind(endorsements)
        .bind(times.created_at)
        .bind(times.updated_at)
        .execute(c)
        .await
        .map(drop))
}
