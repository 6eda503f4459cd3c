//! Educations of a talent, one a degree; the talent itself tells the highest alone.

mod queries;
mod routes;
mod types;

use super::{Part, PartKey, Times};
use crate::{
    db::{Result, Tx},
    http::error::Faults,
    talent::text::TalentFaults as _,
};

pub(super) use queries::STATEMENTS;
pub(super) use routes::routes;
use types::{Education, EducationFields};

impl Part for Education {
    type Fields = EducationFields;

    const WHAT: &'static str = "education";
    const TABLE: &'static str = "talent_educations";

    fn times(&self) -> &Times {
        &self.times
    }

    fn check(_: &PartKey, fields: &Self::Fields) -> Faults {
        let mut faults = Faults::new();
        faults.name("/university", &fields.university, 200);
        faults.short("/education_level", fields.education_level.as_ref());
        faults.short("/major", fields.major.as_ref());
        faults.order("/end_date", fields.start_date.as_ref(), fields.end_date.as_ref());
        faults
    }

    async fn save(tx: &mut Tx, at: &PartKey, fields: &EducationFields, times: &Times) -> Result<()> {
        queries::save(tx, at, fields, times).await
    }
}
