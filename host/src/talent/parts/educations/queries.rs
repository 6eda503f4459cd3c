//! SQL of educations.

use super::types::EducationFields;
use crate::{
    db::{Result, Tx},
    on_db, statements,
    talent::parts::{PartKey, Times},
};

statements! { STATEMENTS:
    SAVE = "INSERT INTO talent_educations (talent_id, education_id, university, education_level, major, start_date, end_date, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
        ON CONFLICT (education_id) DO UPDATE SET university = excluded.university, education_level = excluded.education_level, major = excluded.major, start_date = excluded.start_date, end_date = excluded.end_date, updated_at = excluded.updated_at";
}

pub(super) async fn save(tx: &mut Tx, at: &PartKey, fields: &EducationFields, times: &Times) -> Result<()> {
    let EducationFields { university, education_level, major, start_date, end_date } = fields;
    on_db!(tx, |c| sqlx::query(SAVE)
        .bind(&at.talent_id)
        .bind(&at.key)
        .bind(university)
        .bind(education_level)
        .bind(major)
        .bind(start_date)
        .bind(end_date)
        .bind(times.created_at)
        .bind(times.updated_at)
        .execute(c)
        .await
        .map(drop))
}
