//! SQL of experiences.

use super::types::ExperienceFields;
use crate::{
    db::{Result, Tx},
    on_db, statements,
    talent::parts::{PartKey, Times},
};

statements! { STATEMENTS:
    SAVE = "INSERT INTO work_experiences (talent_id, experience_id, company_name, company_id, position, description, start_date, end_date, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
        ON CONFLICT (experience_id) DO UPDATE SET company_name = excluded.company_name, company_id = excluded.company_id, position = excluded.position, description = excluded.description, start_date = excluded.start_date, end_date = excluded.end_date, updated_at = excluded.updated_at";
}

pub(super) async fn save(tx: &mut Tx, at: &PartKey, fields: &ExperienceFields, times: &Times) -> Result<()> {
    let ExperienceFields { company_name, company_id, position, description, start_date, end_date } = fields;
    on_db!(tx, |c| sqlx::query(SAVE)
        .bind(&at.talent_id)
        .bind(&at.key)
        .bind(company_name)
        .bind(company_id)
        .bind(position)
        .bind(description)
        .bind(start_date)
        .bind(end_date)
        .bind(times.created_at)
        .bind(times.updated_at)
        .execute(c)
        .await
        .map(drop))
}
