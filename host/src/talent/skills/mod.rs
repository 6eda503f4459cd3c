//! Skills: what talents can do and projects look for. One that is in use is not deleted.

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
pub use types::{Skill, SkillFields, SkillId};

impl Resource for Skill {
    fn check(SkillFields { name, category, description, icon }: &SkillFields) -> Faults {
        let mut faults = Faults::new();
        faults.name("/name", name, 200);
        faults.short("/category", category.as_ref());
        faults.text("/description", description.as_deref().unwrap_or(""), 10_000);
        faults.text("/icon", icon.as_deref().unwrap_or(""), 2000);
        faults
    }

    async fn rival(&self, tx: &mut Tx) -> Result<Option<String>> {
        let rival = queries::with_same_name(tx, self).await?;
        Ok(rival.map(|other| format!("the skill {other} has this name already")))
    }

    async fn in_use(&self, tx: &mut Tx) -> Result<Option<String>> {
        let (talents, projects) = queries::uses(tx, &self.skill_id).await?;
        let used = talents + projects > 0;
        Ok(used.then(|| {
            format!("the skill is in use: talents that have it {talents}, projects that want it {projects}; deleted ones count")
        }))
    }

    async fn save(&self, tx: &mut Tx) -> Result<()> {
        queries::save(tx, self).await
    }
}
