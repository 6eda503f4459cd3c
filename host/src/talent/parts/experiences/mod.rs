//! Experiences of a talent: for whom, as what, from when, until when.

mod queries;
mod routes;
mod types;

use super::{Part, PartKey, Times};
use crate::{
    db::{Result, Tx},
    http::error::Faults,
    talent::{base, text::TalentFaults as _},
};

pub(super) use queries::STATEMENTS;
pub(super) use routes::routes;
use types::{Experience, ExperienceFields};

impl Part for Experience {
    type Fields = ExperienceFields;

    const WHAT: &'static str = "experience";
    const TABLE: &'static str = "work_experiences";

    fn times(&self) -> &Times {
        &self.times
    }

    fn check(_: &PartKey, fields: &Self::Fields) -> Faults {
        let mut faults = Faults::new();
        faults.name("/company_name", &fields.company_name, 200);
        faults.name("/position", &fields.position, 200);
        faults.text("/description", fields.description.as_deref().unwrap_or(""), 20_000);
        faults.order("/end_date", fields.start_date.as_ref(), fields.end_date.as_ref());
        faults
    }

    async fn missing(tx: &mut Tx, fields: &ExperienceFields) -> Result<Faults> {
        let wanted = fields.company_id.iter().map(|id| ("/company_id".to_owned(), id.as_str()));
        base::missing(tx, "companies", "company_id", &wanted.collect::<Vec<_>>()).await
    }

    async fn save(tx: &mut Tx, at: &PartKey, fields: &ExperienceFields, times: &Times) -> Result<()> {
        queries::save(tx, at, fields, times).await
    }
}
