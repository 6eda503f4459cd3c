//! SQL of certifications.

use super::types::CertificationFields;
use crate::{
    db::{Result, Tx},
    on_db, statements,
    talent::parts::{PartKey, Times},
};

statements! { STATEMENTS:
    SAVE = "INSERT INTO talent_certifications (talent_id, certification_id, name, issuer, credential_id, credential_url, issue_date, expiry_date, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
        ON CONFLICT (certification_id) DO UPDATE SET name = excluded.name, issuer = excluded.issuer, credential_id = excluded.credential_id, credential_url = excluded.credential_url, issue_date = excluded.issue_date, expiry_date = excluded.expiry_date, updated_at = excluded.updated_at";
}

pub(super) async fn save(tx: &mut Tx, at: &PartKey, fields: &CertificationFields, times: &Times) -> Result<()> {
    let CertificationFields { name, issuer, credential_id, credential_url, issue_date, expiry_date } = fields;
    on_db!(tx, |c| sqlx::query(SAVE)
        .bind(&at.talent_id)
        .bind(&at.key)
        .bind(name)
        .bind(issuer)
        .bind(credential_id)
        .bind(credential_url)
        .bind(issue_date)
        .bind(expiry_date)
        .bind(times.created_at)
        .bind(times.updated_at)
        .execute(c)
        .await
        .map(drop))
}
