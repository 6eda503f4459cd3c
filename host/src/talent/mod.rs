//! Talents, skills, companies, projects, and who fits what. It reads from the database; nothing of it is kept in memory.
//!
//! Read on in `base` (what the four main things have in common), `talents`, `skills`, `companies`, `projects`,
//! `parts` (what belongs to one talent), `text` (dates, addresses).

mod base;
pub mod companies;
mod parts;
pub mod projects;
mod routes;
pub mod skills;
pub mod talents;
pub mod text;

use self::base::Kept as _;
use crate::feed::Feed;

pub use routes::routes;

/// The talents. Clones share it.
#[derive(Clone, Default)]
pub struct Talent;

impl Talent {
    /// Lets changes be watched. There is no memory to keep true.
    pub fn new(feed: &Feed) -> Self {
        for topic in [talents::Talent::TOPIC, skills::Skill::TOPIC, companies::Company::TOPIC, projects::Project::TOPIC]
        {
            feed.on(topic, |_| ());
        }
        Self
    }
}

/// Its statements that both databases take, and those of SQLite and of PostgreSQL alone.
pub(crate) fn statements() -> [Vec<(&'static str, &'static str)>; 3] {
    [
        [talents::STATEMENTS, skills::STATEMENTS, companies::STATEMENTS, projects::STATEMENTS, &parts::statements()]
            .concat(),
        projects::SQLITE.to_vec(),
        projects::POSTGRES.to_vec(),
    ]
}
