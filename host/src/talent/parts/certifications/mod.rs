//! Certifications of a talent: what, by whom, until when.

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
use types::{Certification, CertificationFields};

impl Part for Certification {
    type Fields = CertificationFields;

    const WHAT: &'static str = "certification";
    const TABLE: &'static str = "talent_certifications";

    fn times(&self) -> &Times {
        &self.times
    }

    fn check(_: &PartKey, fields: &Self::Fields) -> Faults {
        let mut faults = Faults::new();
        faults.name("/name", &fields.name, 200);
        faults.short("/issuer", fields.issuer.as_ref());
        faults.short("/credential_id", fields.credential_id.as_ref());
        faults.web("/credential_url", fields.credential_url.as_ref());
        faults.order("/expiry_date", fields.issue_date.as_ref(), fields.expiry_date.as_ref());
        faults
    }

    async fn save(tx: &mut Tx, at: &PartKey, fields: &CertificationFields, times: &Times) -> Result<()> {
        queries::save(tx, at, fields, times).await
    }
}
