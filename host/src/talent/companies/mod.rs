//! Companies: who has projects, and where talents worked. One that is in use is not deleted.

mod queries;
mod routes;
mod types;

use super::{base::Resource, text::TalentFaults as _};
use crate::{
    db::{Result, Tx},
    http::error::Faults,
};

pub(super) use queries::STATEMENTS;
pub(super) use routes::routes;
pub use types::{Company, CompanyFields, CompanyId};

impl Resource for Company {
    fn check(CompanyFields { name, industry, size, location, website }: &CompanyFields) -> Faults {
        let mut faults = Faults::new();
        faults.name("/name", name, 200);
        faults.short("/industry", industry.as_ref());
        faults.short("/size", size.as_ref());
        faults.short("/location", location.as_ref());
        faults.web("/website", website.as_ref());
        faults
    }

    async fn in_use(&self, tx: &mut Tx) -> Result<Option<String>> {
        let (projects, experiences) = queries::uses(tx, &self.company_id).await?;
        let used = projects + experiences > 0;
        Ok(used.then(|| {
            format!(
                "the company is in use: its projects {projects}, experiences at it {experiences}; deleted ones count"
            )
        }))
    }

    async fn save(&self, tx: &mut Tx) -> Result<()> {
        queries::save(tx, self).await
    }
}
