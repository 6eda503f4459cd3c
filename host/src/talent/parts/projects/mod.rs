//! Projects of a talent: as what, from when, until when. Those that are deleted are not shown.

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
use types::{TalentProject, TalentProjectFields};

impl Part for TalentProject {
    type Fields = TalentProjectFields;

    const WHAT: &'static str = "project of this talent";
    const TARGET: &'static str = "project";
    const TABLE: &'static str = "talent_project_association";
    const SHOWN: &'static str = "EXISTS (SELECT 1 FROM projects \
        WHERE projects.project_id = talent_project_association.project_id AND is_deleted = FALSE)";

    fn times(&self) -> &Times {
        &self.times
    }

    fn check(_: &PartKey, fields: &Self::Fields) -> Faults {
        let mut faults = Faults::new();
        faults.short("/role", fields.role.as_ref());
        faults.order("/end_date", fields.start_date.as_ref(), fields.end_date.as_ref());
        faults
    }

    async fn target_is_there(tx: &mut Tx, key: &str) -> Result<bool> {
        base::is_there(tx, "projects", "project_id", key).await
    }

    async fn save(tx: &mut Tx, at: &PartKey, fields: &TalentProjectFields, times: &Times) -> Result<()> {
        queries::save(tx, at, fields, times).await
    }
}
