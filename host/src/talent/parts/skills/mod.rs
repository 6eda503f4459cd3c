//! Skills of a talent: how well, for how long, when last. What is not known is absent, not zero.

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
use types::{TalentSkill, TalentSkillFields};

impl Part for TalentSkill {
    type Fields = TalentSkillFields;

    const WHAT: &'static str = "skill of this talent";
    const TARGET: &'static str = "skill";
    const TABLE: &'static str = "talent_skill_association";

    fn times(&self) -> &Times {
        &self.times
    }

    fn check(_: &PartKey, fields: &Self::Fields) -> Faults {
        let mut faults = Faults::new();
        faults.range("/level", fields.level, 1, 5);
        faults.range("/months", fields.months, 0, 1200);
        faults.range("/endorsements", Some(fields.endorsements), 0, 1_000_000_000);
        faults
    }

    async fn target_is_there(tx: &mut Tx, key: &str) -> Result<bool> {
        base::is_there(tx, "skills", "skill_id", key).await
    }

    async fn save(tx: &mut Tx, at: &PartKey, fields: &TalentSkillFields, times: &Times) -> Result<()> {
        queries::save(tx, at, fields, times).await
    }
}
