//! Projects: what is to be done, when, for whom, and which skills it takes; that makes a project a demand.

mod queries;
mod routes;
mod types;

use std::collections::HashSet;

use super::{
    base::{self, Resource},
    text::TalentFaults as _,
};
use crate::{
    db::{AsConn, Result, Tx},
    http::error::Faults,
};

pub(super) use queries::{POSTGRES, SQLITE, STATEMENTS};
pub(super) use routes::routes;
pub use types::{Need, Project, ProjectFields, ProjectId, ProjectStatus, RequiredSkill};

/// How many skills a project may want.
const MOST_SKILLS: usize = 100;

impl Resource for Project {
    fn check(fields: &ProjectFields) -> Faults {
        let ProjectFields { name, description, start_date, end_date, status: _, company_id: _, required_skills } =
            fields;
        let mut faults = Faults::new();
        faults.name("/name", name, 200);
        faults.text("/description", description.as_deref().unwrap_or(""), 20_000);
        faults.order("/end_date", start_date.as_ref(), end_date.as_ref());
        let many = required_skills.len() <= MOST_SKILLS;
        faults.check(many, "/required_skills", || format!("must be at most {MOST_SKILLS}"));
        let mut seen = HashSet::new();
        for (i, RequiredSkill { skill_id, need: _, level, months }) in required_skills.iter().enumerate() {
            let at = |field: &str| format!("/required_skills/{i}/{field}");
            faults.range(&at("level"), *level, 1, 5);
            faults.range(&at("months"), *months, 0, 1200);
            faults.check(seen.insert(skill_id), &at("skill_id"), || "is there twice".to_owned());
        }
        faults
    }

    async fn missing(tx: &mut Tx, fields: &ProjectFields) -> Result<Faults> {
        let mut faults = Faults::new();
        if let Some(company) = &fields.company_id {
            let wanted = [("/company_id".to_owned(), company.as_str())];
            faults.under("", base::missing(tx, "companies", "company_id", &wanted).await?);
        }
        let skills = fields.required_skills.iter().enumerate();
        let skills: Vec<_> =
            skills.map(|(i, wanted)| (format!("/required_skills/{i}/skill_id"), wanted.skill_id.as_str())).collect();
        faults.under("", base::missing(tx, "skills", "skill_id", &skills).await?);
        Ok(faults)
    }

    async fn save(&self, tx: &mut Tx) -> Result<()> {
        queries::save(tx, self).await?;
        queries::save_skills(tx, self).await
    }

    async fn complete(on: &mut dyn AsConn, projects: &mut [Self]) -> Result<()> {
        let ids: Vec<_> = projects.iter().map(|project| project.project_id.clone()).collect();
        let mut wanted = queries::skills_of(on, &ids).await?;
        for project in projects {
            project.fields.required_skills = wanted.remove(&project.project_id).unwrap_or_default();
        }
        Ok(())
    }
}
