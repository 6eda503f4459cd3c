//! SQL of talents.

use super::types::{Talent, TalentFields, TalentId};
use crate::{
    db::{Result, Tx},
    on_db, statements,
    talent::{base::Life, text::folded},
};

statements! { STATEMENTS:
    SAVE = "INSERT INTO talents (talent_id, name, email, email_key, phone, avatar, current_position, current_company, \
        industry, education_level, major, university, status, is_deleted, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
        ON CONFLICT (talent_id) DO UPDATE SET name = excluded.name, email = excluded.email, \
        email_key = excluded.email_key, phone = excluded.phone, avatar = excluded.avatar, \
        current_position = excluded.current_position, current_company = excluded.current_company, \
        industry = excluded.industry, education_level = excluded.education_level, major = excluded.major, \
        university = excluded.university, status = excluded.status, is_deleted = excluded.is_deleted, \
        updated_at = excluded.updated_at";
    WITH_EMAIL = "SELECT talent_id FROM talents WHERE email_key = $1 AND is_deleted = FALSE AND talent_id <> $2";
}

/// Another talent, not deleted, with the email of this one.
pub(super) async fn with_same_email(tx: &mut Tx, talent: &Talent) -> Result<Option<TalentId>> {
    let Some(email) = &talent.fields.email else { return Ok(None) };
    on_db!(tx, |c| sqlx::query_scalar(WITH_EMAIL).bind(folded(email)).bind(&talent.talent_id).fetch_optional(c).await)
}

pub(super) async fn save(tx: &mut Tx, talent: &Talent) -> Result<()> {
    let Talent { talent_id, fields, life } = talent;
    let TalentFields { name, email, phone, avatar, current_position, current_company, .. } = fields;
    let TalentFields { industry, education_level, major, university, status, .. } = fields;
    let Life { is_deleted, created_at, updated_at } = life;
    on_db!(tx, |c| sqlx::query(SAVE)
        .bind(talent_id)
        .bind(name)
        .bind(email)
        .bind(email.as_deref().map(folded))
        .bind(phone)
        .bind(avatar)
        .bind(current_position)
        .bind(current_company)
        .bind(industry)
        .bind(education_level)
        .bind(major)
        .bind(university)
        .bind(status)
        .bind(is_deleted)
        .bind(created_at)
        .bind(updated_at)
        .execute(c)
        .await
        .map(drop))
}
