//! SQL of projects of talents.

use super::types::TalentProjectFields;
use crate::{
    db::{Result, Tx},
    on_db, statements,
    talent::parts::{PartKey, Times},
};

statements! { STATEMENTS:
    SAVE = "INSERT INTO talent_project_association (talent_id, project_id, role, start_date, end_date, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
        ON CONFLICT (talent_id, project_id) DO UPDATE SET role = excluded.role, start_date = excluded.start_date, end_date = excluded.end_date, updated_at = excluded.updated_at";
}

pub(super) async fn save(tx: &mut Tx, at: &PartKey, fields: &TalentProjectFields, times: &Times) -> Result<()> {
    let TalentProjectFields { role, start_date, end_date } = fields;
    on_db!(tx, |c| sqlx::query(SAVE)
        .bind(&at.talent_id)
        .bind(&at.key)
        .bind(role)
        .bind(start_date)
        .bind(end_date)
        .bind(times.created_at)
        .bind(times.updated_at)
        .execute(c)
        .await
        .map(drop))
}
