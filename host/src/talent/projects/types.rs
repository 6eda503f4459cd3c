//! What a project is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    id,
    talent::{
        base::{list::list_query, resource},
        companies::CompanyId,
        skills::SkillId,
        text::Date,
    },
    text_enum,
};

id! {
    /// A project.
    ProjectId,
}

text_enum! {
    /// How far a project is.
    #[derive(Default)]
    pub enum ProjectStatus {
        /// It is not begun.
        #[default]
        Planning = "planning",
        /// It is worked on.
        Active = "active",
        /// It waits.
        OnHold = "on_hold",
        /// It is done.
        Completed = "completed",
        /// It will not be done.
        Cancelled = "cancelled",
    }
}

text_enum! {
    /// How much a project needs a skill.
    #[derive(Default)]
    pub enum Need {
        /// Not without it.
        #[default]
        Must = "must",
        /// Better with it.
        Nice = "nice",
    }
}

/// A skill that a project takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct RequiredSkill {
    /// Which.
    pub skill_id: SkillId,
    /// How much it is needed.
    #[serde(default)]
    pub need: Need,
    /// From which level on, 1 to 5.
    pub level: Option<i64>,
    /// How many months of it.
    pub months: Option<i64>,
}

/// What a caller writes of a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct ProjectFields {
    /// Its name.
    pub name: String,
    /// What is to be done.
    pub description: Option<String>,
    /// Its first day.
    pub start_date: Option<Date>,
    /// Its last day.
    pub end_date: Option<Date>,
    /// How far it is.
    #[serde(default)]
    pub status: ProjectStatus,
    /// Whose it is.
    pub company_id: Option<CompanyId>,
    /// Which skills it takes, each once.
    #[serde(default)]
    #[sqlx(skip)]
    pub required_skills: Vec<RequiredSkill>,
}

resource! {
    /// Something to be done, and what it takes.
    Project { project_id: ProjectId, ProjectFields }, "project" in "projects", "SELECT project_id, name, description, start_date, end_date, \
        status, company_id, is_deleted, created_at, updated_at FROM projects"
}

list_query! {
    /// Which projects to list.
    ProjectQuery with deleted {
        /// The name.
        name: String = "name = {}",
        /// How far they are.
        status: ProjectStatus = "status = {}",
        /// Whose they are.
        company_id: String = "company_id = {}",
        /// The first day.
        start_date: Date = "start_date = {}",
        /// The last day.
        end_date: Date = "end_date = {}",
        /// A skill that they take.
        skill_id: String = "project_id IN (SELECT project_id FROM project_skill_association WHERE skill_id = {})",
    }
}
