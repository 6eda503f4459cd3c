//! SQL of companies.

use super::types::{Company, CompanyFields, CompanyId};
use crate::{
    db::{Result, Tx},
    on_db, statements,
    talent::base::Life,
};

statements! { STATEMENTS:
    SAVE = "INSERT INTO companies (company_id, name, industry, size, location, website, is_deleted, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
        ON CONFLICT (company_id) DO UPDATE SET name = excluded.name, industry = excluded.industry, \
        size = excluded.size, location = excluded.location, website = excluded.website, \
        is_deleted = excluded.is_deleted, updated_at = excluded.updated_at";
    USES = "SELECT (SELECT count(*) FROM projects WHERE company_id = $1) AS projects, \
        (SELECT count(*) FROM work_experiences WHERE company_id = $1) AS experiences";
}

/// How many projects it has, and how many experiences were made at it.
pub(super) async fn uses(tx: &mut Tx, id: &CompanyId) -> Result<(i64, i64)> {
    on_db!(tx, |c| sqlx::query_as(USES).bind(id).fetch_one(c).await)
}

pub(super) async fn save(tx: &mut Tx, company: &Company) -> Result<()> {
    let Company { company_id, fields: CompanyFields { name, industry, size, location, website }, life } = company;
    let Life { is_deleted, created_at, updated_at } = life;
    on_db!(tx, |c| sqlx::query(SAVE)
        .bind(company_id)
        .bind(name)
        .bind(industry)
        .bind(size)
        .bind(location)
        .bind(website)
        .bind(is_deleted)
        .bind(created_at)
        .bind(updated_at)
        .execute(c)
        .await
        .map(drop))
}
